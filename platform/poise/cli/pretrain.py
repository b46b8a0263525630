"""``poise pretrain``: one recipe, one tracked run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.main import resumable
from poise.cli.resume_arguments import Wanted, read_words
from poise.config.errors import PoiseError
from poise.config.paths import home
from poise.runs.ending import how_it_ended, steps_kept, told

if TYPE_CHECKING:
    from poise.config import Recipe
    from poise.runs.pretraining import Finished
from poise.runs.folder import begin, begun, latest_unfinished


def command(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE", help="A recipe's YAML file; with --resume a run's name will do."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="Changes to the recipe: objective.teacher_temp=0.07"
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the run; default: the recipe's name and the time.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Finish an interrupted run: NAME, or the latest of RECIPE."),
    ] = False,
    register: Annotated[
        bool, typer.Option(help="Register the backbone if the run was healthy.")
    ] = True,
) -> None:
    """Pretrain a backbone from one RECIPE, without labels.

    The run is tracked in MLflow and judged: healthy, or which collapse. Interrupt it whenever you
    like: the same command with --resume goes on from its last checkpoint, and so does
    `poise pretrain --resume NAME`.

    Example: poise pretrain recipe.yaml training.epochs=20
    """
    words = [word for word in (recipe, *(settings or [])) if word is not None]
    if resume:
        chosen, run_name = _find(read_words(words, name, "run"))
    elif recipe is None or "=" in recipe:
        raise PoiseError("name a recipe to start or, with --resume, a run to finish")
    else:
        path, *overrides = words
        chosen, run_name = begin(path, overrides, name)
    with resumable(f"poise pretrain --resume {run_name}", lambda: _what_is_lost(run_name)):
        _carry_out(chosen, run_name, register)


def _find(wanted: Wanted) -> tuple[Recipe, str]:
    """The interrupted run to finish, and the recipe to finish it with.

    Where a file is named, where and how the run is carried out may have changed since.
    """
    from poise.config import load_recipe
    from poise.config.loading import with_absolute_paths
    from poise.training.checkpoint import difference

    if wanted.file is None:
        assert wanted.name is not None
        if wanted.overrides:
            raise PoiseError(
                f"--resume {wanted.name}: goes on as the run began and takes no "
                f"{wanted.overrides[0]}"
            )
        return begun(wanted.name), wanted.name
    recipe = with_absolute_paths(load_recipe(wanted.file, wanted.overrides))
    run_name = wanted.name or latest_unfinished(recipe)
    changed = difference(begun(run_name), recipe)
    if changed:
        raise PoiseError(
            f"--resume: run {run_name} was begun with another {changed}; `poise pretrain --resume "
            f"{run_name}` finishes it as it began, without --resume a new one begins"
        )
    return recipe, run_name


def _what_is_lost(run_name: str) -> str:
    """Of an interrupted run, in the words that follow `interrupted`."""
    return "" if steps_kept(run_name) else "before its first checkpoint: it will begin again"


def _carry_out(recipe: Recipe, run_name: str, register: bool) -> None:
    from poise.cluster.connection import start_ray
    from poise.data.manifest import Manifest
    from poise.runs.pretraining import pretrain
    from poise.runs.progress import ProgressDisplay
    from poise.tracking.ending import controlled, reconcile
    from poise.tracking.history import find_finished
    from poise.tracking.run import create_run
    from poise.tracking.store import open_store
    from poise.training.capacity import check_fits
    from poise.training.schedule import timetable_of

    store = open_store()
    reconcile(store)
    experiment = Manifest.read(recipe.data.dataset).name
    finished_id = find_finished(store, experiment, run_name)
    ended = finished_id and how_it_ended(recipe, run_name, finished_id)
    if ended:
        print(told(recipe, run_name, ended))
        _conclude(recipe, ended, run_name, register)
        return
    start_ray()
    check_fits(recipe)
    run = create_run(store, experiment, run_name, home() / run_name)
    total_steps = timetable_of(recipe).total_steps
    kept = steps_kept(run_name)
    goes_on = f", {kept} of them done" if kept else ""
    images = recipe.training.batch_size
    print(f"run {run_name}: {total_steps} steps of {images} images{goes_on}", flush=True)
    with controlled(run), ProgressDisplay() as display:
        observer = display.observer(run_name, total_steps)
        finished = pretrain(recipe, run, run_name, observers=[observer])
    _conclude(recipe, finished, run_name, register)


def _conclude(recipe: Recipe, finished: Finished, run_name: str, register: bool) -> None:
    from poise.diagnostics.judge import VerdictKind

    verdict = finished.verdict
    print(f"verdict: {verdict.kind} - {verdict.evidence}")
    if finished.stopped_by is not None:
        print(f"stopped early: by {finished.stopped_by} after step {finished.history[-1][0]}")
    if verdict.advice:
        print(f"advice: {verdict.advice}")
    print(f"backbone: {finished.package}")
    if register and verdict.kind is VerdictKind.HEALTHY:
        from poise.runs.pretraining import register_finished
        from poise.tracking.store import open_store

        print(f"registered: {register_finished(open_store(), recipe, finished)}")
    elif register:
        queries = recipe.evaluation.queries or "DATASET"
        print("not registered: only what was judged healthy is; its folder can be measured:")
        print(f"  poise evaluate knn {finished.package} {queries}")
