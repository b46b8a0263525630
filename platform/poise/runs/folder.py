"""Creates the folder of a new run under ``home()`` and describes the run there.

In: a recipe. Out: ``recipe.yaml`` (the recipe of the run), ``run.json`` (the fingerprints of its
datasets) and ``initial_weights.json`` (the model that the run starts from, if any). Next:
``poise.runs.pretraining`` and ``poise.runs.probing``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poise.config.checkpoint_storage import keep_storage
from poise.config.files import write_json, write_whole
from poise.config.paths import RECIPE_FILE, check_run_name, claim_folder, home, new_name, taken
from poise.runs.initial_weights import find, keep, pinned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from poise.config import Recipe
    from poise.training.datasets import Fingerprints
    from poise.training.spec import InitialWeights

RUN_FILE = "run.json"


def begin(
    path: str,
    settings: list[str],
    name: str | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> tuple[Recipe, str]:
    """Checks a recipe and creates the run's folder.

    Args:
        path: path of the recipe's file.
        settings: ``key=value`` changes to the recipe.
        name: name of the run. By default it consists of the recipe's name, the time and random
            characters.
        meanwhile: function that may start slow work in another thread. It is called after the
            recipe and the dataset are checked, and before the slow checks.

    Raises:
        PoiseError: the recipe cannot run, the recipe cannot start from the model that it names, or
            the name of the run is taken.
    """
    from poise.training.datasets import fingerprints

    if name is not None:
        check_run_name(name)
    recipe = _read(path, settings)
    run_name = name or new_name(recipe.name)
    resume = f"poise pretrain --resume {run_name}"
    if (home() / run_name).exists():
        raise taken(home() / run_name, resume)
    meanwhile()
    _check_runs(recipe)
    start = find(recipe)
    recipe = pinned(recipe, start)
    datasets = fingerprints(recipe)
    claim(run_name, recipe, datasets, resume, start)  # fails if another process was faster
    return recipe, run_name


def checked_recipe(path: str, settings: list[str]) -> Recipe:
    """Reads a recipe and checks it as ``begin`` does, without creating a run.

    Raises:
        PoiseError: the recipe cannot run, or it cannot start from the model that it names.
    """
    recipe = _read(path, settings)
    _check_runs(recipe)
    return pinned(recipe, find(recipe))


def _read(path: str, settings: list[str]) -> Recipe:
    from poise.config import load_recipe
    from poise.config.loading import with_absolute_paths
    from poise.training.schedule import steps_per_epoch

    # Workers, and a process that resumes the run, may have another current folder.
    recipe = with_absolute_paths(load_recipe(path, settings))
    steps_per_epoch(recipe)  # raises an error if the dataset is missing or too small
    return recipe


def _check_runs(recipe: Recipe) -> None:
    """Raises an error if a probe's dataset is missing or the recipe's model cannot be built."""
    from poise.evaluation.during_training import online_probes
    from poise.training.capacity import check_builds

    online_probes(recipe)  # raises an error if datasets of the probes are missing
    check_builds(recipe)


def claim(
    name: str,
    recipe: Recipe,
    datasets: Fingerprints,
    resume: str,
    start: InitialWeights | None = None,
) -> Path:
    """Creates the run's folder and writes the files that describe the run.

    The folder reserves the name, because no other run can create it.

    Args:
        name: name of the run.
        recipe: recipe of the run.
        datasets: fingerprints of the datasets that the run reads.
        resume: command that finishes an existing run of this name. The error message shows it.
        start: trained model that the run starts from. None means random weights.

    Raises:
        PoiseError: a run of this name exists, or the folder is not writable.
    """
    from poise.config.yaml_core import dump_yaml

    folder = claim_folder(name, resume)
    keep_storage(folder)
    write_json(folder / RUN_FILE, {"datasets": dict(datasets)})
    keep(folder, start)
    content = dump_yaml(recipe.model_dump(mode="json"))
    write_whole(folder / RECIPE_FILE, content)  # last, so a folder with a recipe is complete
    return folder
