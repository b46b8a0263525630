"""``poise pretrain``: carries out one recipe as one tracked run."""

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.main import resumable
from poise.cli.option_groups import options_of
from poise.cli.resume_arguments import read_words
from poise.config.errors import PoiseError
from poise.runs.ending import steps_kept
from poise.runs.folder import begin
from poise.runs.initial_weights import KEY as INITIAL_WEIGHTS
from poise.runs.resumption import find_run

if TYPE_CHECKING:
    from poise.config import Recipe
    from poise.runs.outcome import Finished


@dataclass(frozen=True)
class PretrainRequest:
    """Arguments and options of `poise pretrain`."""

    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE", help="A recipe's YAML file. With --resume also the name of a run."
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
        ),
    ] = None
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Finish an interrupted run: NAME, or the latest of RECIPE."),
    ] = False
    register: Annotated[
        bool, typer.Option(help="Register the backbone if the run was healthy.")
    ] = True

    @property
    def words(self) -> list[str]:
        """The recipe and the changes to it, those of options as well."""
        start = [f"{INITIAL_WEIGHTS}={json.dumps(self.start)}"] if self.start is not None else []
        recipe = [self.recipe] if self.recipe is not None else []
        return [*recipe, *(self.settings or []), *start]


@options_of(PretrainRequest)
def command(request: PretrainRequest) -> None:
    """Pretrain a backbone from one RECIPE, without labels.

    The run is tracked in MLflow. It gets a verdict: healthy, or how it failed. You may interrupt
    it at any time. The same command with --resume continues from the last checkpoint, and so does
    `poise pretrain --resume NAME`.

    With --from the backbone starts from a trained model, and the run is also judged by how much of
    it is forgotten.

    Example: poise pretrain recipe.yaml training.epochs=20
    """
    from poise.cluster.connection import start_ray_early

    words = request.words
    if request.resume:
        wanted = read_words(words, request.name, "run")
        chosen, run_name = find_run(wanted.name, wanted.file, wanted.overrides)
    elif request.recipe is None or "=" in request.recipe:
        raise PoiseError("name a recipe to start or, with --resume, a run to finish")
    else:
        path, *overrides = words
        chosen, run_name = begin(path, overrides, request.name, meanwhile=start_ray_early)
    with resumable(f"poise pretrain --resume {run_name}", lambda: _what_is_lost(run_name)):
        finished = _carry_out(chosen, run_name)
        _print_finished(chosen, finished, request.register)


def _what_is_lost(run_name: str) -> str:
    """Returns words about the work that an interruption loses. They follow `interrupted`."""
    return "" if steps_kept(run_name) else "before its first checkpoint: it will begin again"


def _carry_out(recipe: "Recipe", run_name: str) -> "Finished":
    from poise.runs.pretraining import carry_out

    return carry_out(recipe, run_name, partial(print, flush=True))


def _print_finished(recipe: "Recipe", finished: "Finished", register: bool) -> None:
    verdict = finished.verdict
    print(f"verdict: {verdict.kind} - {verdict.evidence}")
    if finished.stopped_by is not None:
        print(f"stopped early: by {finished.stopped_by} after step {finished.last_step}")
    if verdict.advice:
        print(f"advice: {verdict.advice}")
    print(f"backbone: {finished.package}")
    if register:
        _print_registered(recipe, finished)


def _print_registered(recipe: "Recipe", finished: "Finished") -> None:
    from poise.runs.pretraining import register_if_healthy

    registered = register_if_healthy(recipe, finished)
    if registered is not None:
        print(f"registered: {registered}")
    else:
        queries = recipe.evaluation.queries or "DATASET"
        print("not registered: only healthy runs are; this command measures its backbone:")
        print(f"  poise evaluate knn {finished.package} {queries}")
