"""``poise pretrain``: trains one recipe as one tracked run."""

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.completion import complete_model, complete_recipe
from poise.cli.main import resumable
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.cli.resume_arguments import read_words
from poise.config.errors import PoiseError
from poise.runs.ending import steps_kept
from poise.runs.folder import begin, checked_recipe
from poise.runs.initial_weights import KEY as INITIAL_WEIGHTS
from poise.runs.resumption import find_run
from poise.training.elastic import worker_settings

if TYPE_CHECKING:
    from poise.config import Recipe
    from poise.runs.outcome import Finished


@dataclass(frozen=True)
class PretrainRequest:
    """Arguments and options of `poise pretrain`."""

    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            help="A recipe's YAML file. With --resume also the name of a run.",
            autocompletion=complete_recipe,
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="Changes to the recipe: objective.teacher_temp=0.07"
        ),
    ] = None
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the run. Default: the recipe's name, the time and four characters."
        ),
    ] = None
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Start from a trained model: the folder of a package, or models:/NAME/VERSION. "
            "Short for backbone.initial_weights=MODEL.",
            autocompletion=complete_model,
        ),
    ] = None
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N or MIN-MAX",
            help="Number of workers. With a range such as 2-8, the run starts with as many workers "
            "as are free, and continues with fewer if nodes are lost. Short for "
            "training.num_workers and training.min_workers.",
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check the recipe, say what would start, and start nothing."
        ),
    ] = False
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue an interrupted run. Give its NAME in place of RECIPE, or RECIPE for "
            "the latest run of this recipe.",
        ),
    ] = False
    register: Annotated[
        bool, typer.Option(help="Register the backbone if the run was healthy.")
    ] = True

    @property
    def words(self) -> list[str]:
        """Recipe and all changes to it, including those from --from and --workers."""
        start = [f"{INITIAL_WEIGHTS}={json.dumps(self.start)}"] if self.start is not None else []
        recipe = [self.recipe] if self.recipe is not None else []
        workers = worker_settings(self.workers) if self.workers is not None else []
        return [*recipe, *(self.settings or []), *start, *workers]


@prints
@options_of(PretrainRequest)
def command(request: PretrainRequest) -> Output:
    """Pretrain a backbone from one RECIPE, without labels.

    The run is tracked in MLflow. It gets a verdict: healthy, or how it failed. Healthy means that
    training did not collapse or diverge. A run that began from trained weights is healthy only if
    it also kept most of their k-NN accuracy. Healthy does not say how good the features are. You
    may interrupt the run at any time. The same command with --resume continues from the last
    checkpoint. `poise pretrain --resume NAME` does the same.

    If memory runs out, lower training.micro_batch_size. The result of a step stays the same. Poise
    chooses how often to save checkpoints, so that saving takes at most 2 % of the time
    (training.checkpoint_every_steps=auto).

    With --workers 2-8, the run starts with as many workers as the cluster has room for. If nodes
    are lost, it continues with fewer workers. What it learns stays the same.

    With --from, the backbone starts from a trained model. With --quiet, the command prints only the
    registered model. If none was registered, it prints the folder of the package.

    Example: poise pretrain recipe.yaml training.epochs=20

    Example: poise pretrain --resume NAME
    """
    from poise.cluster.connection import start_ray_early

    words = request.words
    if request.resume:
        wanted = read_words(words, request.name, "run")
        chosen, run_name = find_run(wanted.name, wanted.file, wanted.overrides)
    elif request.recipe is None or "=" in request.recipe:
        raise PoiseError("name a recipe to start or, with --resume, a run to finish")
    elif request.dry_run:
        path, *overrides = words
        chosen, run_name = checked_recipe(path, overrides), ""
    else:
        path, *overrides = words
        chosen, run_name = begin(path, overrides, request.name, meanwhile=start_ray_early)
    if request.dry_run:
        return _forecast(chosen)
    with resumable(f"poise pretrain --resume {run_name}", lambda: _what_is_lost(run_name)):
        finished = _carry_out(chosen, run_name)
        return _output(chosen, run_name, finished, request.register)


def _forecast(recipe: "Recipe") -> Output:
    """Describes the run that would start. Writes no file."""
    from poise.cluster.connection import start_ray
    from poise.training.capacity import check_fits
    from poise.training.schedule import timetable_of
    from poise.training.worker_room import start_in_words

    start_ray()
    check_fits(recipe)
    steps, images = timetable_of(recipe).total_steps, recipe.training.batch_size
    workers = start_in_words(recipe)

    def show() -> None:
        print(f"would train {steps} steps of {images} images")
        print(f"workers: {workers}")
        print("nothing was started; leave --dry-run out to begin")

    document = {"steps": steps, "batch_size": images, "workers": workers}
    return Output(lambda: document, [workers], show)


def _what_is_lost(run_name: str) -> str:
    """Returns a phrase about the work that an interruption loses, to print after "interrupted".

    The phrase is empty if the run has a checkpoint.
    """
    return "" if steps_kept(run_name) else "before its first checkpoint: it will begin again"


def _carry_out(recipe: "Recipe", run_name: str) -> "Finished":
    from poise.runs.pretraining import carry_out

    return carry_out(recipe, run_name, partial(print, flush=True))


def _output(recipe: "Recipe", name: str, finished: "Finished", register: bool) -> Output:
    """Registers the backbone if the user wants it, and describes how the run ended."""
    from poise.runs.registration import register_if_healthy

    registered = register_if_healthy(recipe, finished) if register else None
    verdict = finished.verdict

    def show() -> None:
        _print_finished(finished)
        if register:
            _print_registered(recipe, finished, registered)

    return Output(
        document=lambda: {
            "run": name,
            "run_id": finished.run_id,
            "verdict": verdict.kind,
            "evidence": verdict.evidence,
            "advice": verdict.advice,
            "onset_step": verdict.onset_step,
            "stopped_by": finished.stopped_by,
            "last_step": finished.last_step,
            "metrics": finished.metrics,
            "package": str(finished.package),
            "registered": registered,
        },
        result=[registered or str(finished.package)],
        show=show,
    )


def _print_finished(finished: "Finished") -> None:
    verdict = finished.verdict
    print(f"verdict: {verdict.kind}")
    print(f"evidence: {verdict.evidence}")
    if finished.stopped_by is not None:
        print(f"stopped early: by {finished.stopped_by} after step {finished.last_step}")
    if verdict.advice:
        print(f"advice: {verdict.advice}")
    print(f"backbone: {finished.package}")


def _print_registered(recipe: "Recipe", finished: "Finished", registered: str | None) -> None:
    if registered is not None:
        print(f"registered: {registered}")
    else:
        queries = recipe.evaluation.queries or "DATASET"
        print("not registered: Poise registers only healthy runs. To measure this backbone:")
        print(f"  poise evaluate knn {finished.package} {queries}")
