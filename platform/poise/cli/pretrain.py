"""``poise pretrain``: one recipe, one tracked run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.main import resumable
from poise.config.errors import PoiseError
from poise.config.paths import check_run_name, home

if TYPE_CHECKING:
    from poise.config import Recipe
    from poise.tracking.pretraining import Finished

RECIPE_FILE = "recipe.yaml"


def command(
    recipe: Annotated[str | None, typer.Argument(help="A recipe's YAML file.")] = None,
    settings: Annotated[
        list[str] | None, typer.Argument(help="Changes to it: objective.teacher_temp=0.07 …")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the run; by default the recipe's name and the time.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="NAME", help="Finish the interrupted run of this name.")
    ] = None,
    register: Annotated[
        bool, typer.Option(help="Register the backbone if the run was healthy.")
    ] = True,
) -> None:
    """Pretrain a backbone without labels, from one RECIPE.

    The run is tracked in MLflow and judged: healthy, or which collapse. Interrupt it whenever you
    like: `poise pretrain --resume NAME` goes on from its last checkpoint.
    """
    words = [word for word in (recipe, *(settings or [])) if word is not None]
    starts = recipe is not None and "=" not in recipe
    if starts == (resume is not None):
        raise PoiseError("name either a recipe to start or, with --resume, a run to finish")
    if resume is None:
        path, *overrides = words
        chosen, run_name = begin(path, overrides, name)
    elif name is not None:
        raise PoiseError(f"--name {name}: the run that --resume finishes keeps its name, {resume}")
    else:
        chosen, run_name = _continue(resume, words), resume
    with resumable(f"poise pretrain --resume {run_name}"):
        _carry_out(chosen, run_name, register)


def begin(path: str, settings: list[str], name: str | None = None) -> tuple[Recipe, str]:
    """Checks the recipe and takes the run's name."""
    import yaml

    from poise.config import load_recipe
    from poise.config.loading import with_absolute_paths
    from poise.evaluation.online import online_probes
    from poise.training.capacity import check_builds
    from poise.training.worker import steps_per_epoch

    if name is not None:
        check_run_name(name)
    # Workers may run in other folders, and so may whoever resumes.
    recipe = with_absolute_paths(load_recipe(path, settings))
    steps_per_epoch(recipe)  # the dataset is there and large enough
    online_probes(recipe)  # and so are the probes'
    check_builds(recipe)
    run_name = name or f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = home() / run_name
    if folder.exists():
        raise PoiseError(
            f"{folder}: there is a run of this name; finish it with "
            f"`poise pretrain --resume {run_name}`, or choose another --name"
        )
    folder.mkdir(parents=True)
    content = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    (folder / RECIPE_FILE).write_text(content, encoding="utf-8")
    return recipe, run_name


def _continue(run_name: str, settings: list[str]) -> Recipe:
    """The recipe that an interrupted run began with."""
    from poise.config import load_recipe

    folder = home() / run_name
    if not (folder / RECIPE_FILE).is_file():
        known = sorted(path.parent.name for path in home().glob(f"*/{RECIPE_FILE}"))
        raise PoiseError(
            f"--resume {run_name}: {home()} holds no such run; "
            + (f"it holds {', '.join(known)}" if known else "it holds none")
        )
    return load_recipe(folder / RECIPE_FILE, settings)


def _carry_out(recipe: Recipe, run_name: str, register: bool) -> None:
    from poise.data.manifest import Manifest
    from poise.data.ray_runtime import start_ray
    from poise.tracking.ending import controlled, reconcile
    from poise.tracking.pretraining import pretrain
    from poise.tracking.runs import create_run
    from poise.tracking.store import open_store
    from poise.training.capacity import check_fits
    from poise.training.progress import ProgressDisplay
    from poise.training.schedule import Timetable
    from poise.training.worker import steps_per_epoch

    store = open_store()
    reconcile(store)
    start_ray()
    check_fits(recipe)
    experiment = Manifest.read(recipe.data.dataset).name
    run = create_run(store, experiment, run_name, home() / run_name)
    total_steps = Timetable(recipe, steps_per_epoch(recipe)).total_steps
    print(f"run {run_name}: {total_steps} steps of {recipe.training.batch_size} images", flush=True)
    with controlled(run), ProgressDisplay() as display:
        observer = display.observer(run_name, total_steps)
        finished = pretrain(recipe, run, run_name, observers=[observer])
    _conclude(recipe, finished, run_name, register)


def _conclude(recipe: Recipe, finished: Finished, run_name: str, register: bool) -> None:
    from poise.diagnostics import VerdictKind

    verdict = finished.verdict
    print(f"verdict: {verdict.kind} - {verdict.evidence}")
    if verdict.advice:
        print(f"advice: {verdict.advice}")
    print(f"backbone: {finished.package}")
    if register and verdict.kind is VerdictKind.HEALTHY:
        from poise.tracking.pretraining import register_finished
        from poise.tracking.store import open_store

        print(f"registered: {register_finished(open_store(), recipe, finished)}")
    elif register:
        print("not registered: only backbones of runs judged healthy are")
