"""Creates and describes the folder of a new run under ``home()``.

In: a recipe. Out: ``recipe.yaml`` (what the run begins with), ``run.json`` (the fingerprints of its
datasets) and ``initial_weights.json`` (the model that it starts from, if any). Next:
``poise.runs.pretraining`` and ``poise.runs.probing``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
        path: file of the recipe.
        settings: ``key=value`` changes to the recipe.
        name: name of the run; by default the recipe's name, the time and random characters.
        meanwhile: function that is called when recipe and dataset are checked, before the slow
            checks. It may start slow work in another thread.

    Raises:
        PoiseError: the recipe cannot run, it cannot start from the model that it names, or the
            name is taken.
    """
    from poise.config import load_recipe
    from poise.config.loading import with_absolute_paths
    from poise.training.datasets import fingerprints
    from poise.training.schedule import steps_per_epoch

    if name is not None:
        check_run_name(name)
    # Workers, and a process that resumes the run, may have another current folder.
    recipe = with_absolute_paths(load_recipe(path, settings))
    steps_per_epoch(recipe)  # raises an error if the dataset is missing or too small
    run_name = name or new_name(recipe.name)
    resume = f"poise pretrain --resume {run_name}"
    if (home() / run_name).exists():
        raise taken(home() / run_name, resume)
    meanwhile()
    _check_runs(recipe)
    start = find(recipe)
    recipe = pinned(recipe, start)
    datasets = fingerprints(recipe)
    claim(run_name, recipe, datasets, resume, start)  # another process may have been faster
    return recipe, run_name


def _check_runs(recipe: Recipe) -> None:
    """Raises an error if the recipe cannot be carried out here."""
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
    """Makes the run's folder, which claims its name, and writes what the run begins with.

    Args:
        name: the run's name.
        recipe: the run's recipe.
        datasets: the fingerprints of the datasets that it reads.
        resume: the command that finishes a run of this name, for the error.
        start: the model that the run starts from; none for random weights.

    Raises:
        PoiseError: there is a run of this name, or the folder is not writable.
    """
    from poise.config.yaml_core import dump_yaml

    folder = claim_folder(name, resume)
    write_json(folder / RUN_FILE, {"datasets": dict(datasets)})
    keep(folder, start)
    content = dump_yaml(recipe.model_dump(mode="json"))
    write_whole(folder / RECIPE_FILE, content)  # last: a folder with a recipe is complete
    return folder
