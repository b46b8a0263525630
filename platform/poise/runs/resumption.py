"""Finds an interrupted run, to continue it.

In: its name, or the file of its recipe. Out: its recipe and name. The settings of what is learned,
and the images, are the same as at its start. Next: ``poise.runs.pretraining`` and
``poise.runs.probing``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from poise.config.errors import PoiseError
from poise.config.files import read_json
from poise.config.paths import RECIPE_FILE, home, unknown
from poise.runs.ending import how_it_ended
from poise.runs.folder import RUN_FILE
from poise.runs.initial_weights import as_begun

if TYPE_CHECKING:
    from poise.config import Recipe
    from poise.training.datasets import Fingerprints

logger = logging.getLogger(__name__)


def find_run(
    name: str | None, path: str | None, overrides: Sequence[str] = ()
) -> tuple[Recipe, str]:
    """Finds the interrupted run to continue: by its name, or the latest run of a recipe.

    A recipe's file may differ from the recipe of the run's start only in settings that do not
    change what is learned.

    Args:
        name: name of the run.
        path: file of the recipe.
        overrides: ``key=value`` changes to the file.

    Raises:
        PoiseError: there is no such run, it began with another recipe, or the content of a dataset
            has changed.
    """
    if path is None:
        assert name is not None
        if overrides:
            raise PoiseError(
                f"--resume {name}: continues the run as it began and takes no {overrides[0]}"
            )
        recipe = begun(name)
    else:
        recipe, name = _described(name, path, overrides)
    check_datasets(name, recipe)
    return recipe, name


def _described(name: str | None, path: str, overrides: Sequence[str]) -> tuple[Recipe, str]:
    from poise.config import load_recipe
    from poise.config.loading import with_absolute_paths
    from poise.training.checkpoint import difference
    from poise.training.datasets import trains_on_the_same

    recipe = with_absolute_paths(load_recipe(path, overrides))
    name = name or latest_unfinished(recipe)
    there, recipe = begun(name), as_begun(recipe, home() / name)
    moved = {"data.dataset"} if trains_on_the_same(kept_datasets(name), there, recipe) else set()
    changed = difference(there, recipe, moved)
    if changed:
        raise PoiseError(
            f"--resume: run {name} was begun with another {changed}; `poise pretrain --resume "
            f"{name}` finishes it as it began, without --resume a new one begins"
        )
    return recipe, name


def latest_unfinished(recipe: Recipe) -> str:
    """Returns the name of the newest run of this recipe that has not ended.

    Raises:
        PoiseError: there is no such run.
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
    """Reads the recipe that a run began with.

    Args:
        name: name of the run.
        marker: file that every run of this kind has in its folder.
        kind: word for such a run, for the error.

    Raises:
        PoiseError: there is no such run.
    """
    from poise.config import load_recipe

    folder = home() / name
    if not (folder / marker).is_file():
        raise unknown(f"--resume {name}", kind, marker)
    return load_recipe(folder / RECIPE_FILE)


def kept_datasets(name: str) -> Fingerprints:
    """Returns the fingerprints of a run's datasets at its start.

    It is empty for runs of older versions.
    """
    path = home() / name / RUN_FILE
    return dict(read_json(path)["datasets"]) if path.exists() else {}


def check_datasets(name: str, recipe: Recipe, also: Sequence[str] = ()) -> None:
    """Raises an error if the content of a dataset has changed since the run began.

    Args:
        name: name of the run.
        recipe: recipe to continue with.
        also: folders of datasets that the recipe does not name.

    Raises:
        PoiseError: the message names both fingerprints and the possible fixes.
    """
    from poise.training.datasets import check_unchanged, fingerprints, fingerprints_of

    known = kept_datasets(name)
    if known:
        check_unchanged(f"run {name}", known, fingerprints(recipe) | fingerprints_of(also))
    else:
        logger.info(
            "run %s began with an older version of Poise, which saved no fingerprints; Poise "
            "assumes that its datasets have not changed",
            name,
        )
