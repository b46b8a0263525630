"""The folder of one run under ``home()``: claimed, described, and found again.

In: a recipe, or a run's name. Out: the run's recipe and name. Next: ``poise.runs.pretraining`` and
``poise.runs.probing``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poise.config.errors import PoiseError
from poise.config.files import write_whole
from poise.config.paths import RECIPE_FILE, check_run_name, claim_folder, home, new_name, unknown
from poise.runs.ending import how_it_ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from poise.config import Recipe


def begin(
    path: str,
    settings: list[str],
    name: str | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> tuple[Recipe, str]:
    """Checks a recipe and claims the run's folder.

    Args:
        path: the recipe's file.
        settings: ``key=value`` changes to it.
        name: the run's name; by default the recipe's name, the time and something random.
        meanwhile: called once the recipe and its dataset are found good, before the checks that
            take seconds: it may start something that takes as long.

    Raises:
        PoiseError: the recipe cannot run, or the name is taken.
    """
    from poise.config import load_recipe
    from poise.config.loading import with_absolute_paths
    from poise.training.schedule import steps_per_epoch

    if name is not None:
        check_run_name(name)
    # Workers, and whoever resumes the run, may have another current folder.
    recipe = with_absolute_paths(load_recipe(path, settings))
    steps_per_epoch(recipe)  # refuses a dataset that is missing or too small
    meanwhile()
    _check_runs(recipe)
    run_name = name or new_name(recipe.name)
    claim(run_name, recipe, f"poise pretrain --resume {run_name}")
    return recipe, run_name


def _check_runs(recipe: Recipe) -> None:
    """Refuses a recipe that could not be carried out here."""
    from poise.evaluation.during_training import online_probes
    from poise.training.capacity import check_builds

    online_probes(recipe)  # refuses missing datasets of the probes
    check_builds(recipe)


def claim(name: str, recipe: Recipe, resume: str) -> Path:
    """Makes the run's folder, which claims its name, and writes the recipe.

    Args:
        name: the run's name.
        recipe: what the run begins with.
        resume: the command that finishes a run of this name, for the error.

    Raises:
        PoiseError: there is a run of this name, or the folder cannot be written.
    """
    from poise.config.yaml_core import dump_yaml

    folder = claim_folder(name, resume)
    write_whole(folder / RECIPE_FILE, dump_yaml(recipe.model_dump(mode="json")))
    return folder


def latest_unfinished(recipe: Recipe) -> str:
    """The name of the newest run of this recipe that has not ended.

    Raises:
        PoiseError: there is none.
    """
    from poise.config.loading import read_yaml

    begun = sorted(home().glob(f"*/{RECIPE_FILE}"), key=lambda path: -path.stat().st_mtime)
    of_recipe = [path.parent for path in begun if read_yaml(path).get("name") == recipe.name]
    for folder in of_recipe:
        if how_it_ended(recipe, folder.name) is None:
            return folder.name
    seen = f"all {len(of_recipe)} are finished" if of_recipe else "there is none"
    raise PoiseError(f"--resume: {home()} holds no unfinished run of {recipe.name}: {seen}")


def begun(name: str, marker: str = RECIPE_FILE, kind: str = "run") -> Recipe:
    """The recipe that a run began with.

    Args:
        name: the run's name.
        marker: the file that every run of this kind has in its folder.
        kind: what such a run is called, for the error.

    Raises:
        PoiseError: there is no such run.
    """
    from poise.config import load_recipe

    folder = home() / name
    if not (folder / marker).is_file():
        raise unknown(f"--resume {name}", kind, marker)
    return load_recipe(folder / RECIPE_FILE)
