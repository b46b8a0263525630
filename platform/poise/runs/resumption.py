"""A run is found again, to be finished.

In: its name, or the recipe's file that it began with. Out: its recipe and name; what it learns, and
from which images, is as it was. Next: ``poise.runs.pretraining`` and ``poise.runs.probing``.
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
    """The interrupted run to finish: by name, or the latest of a recipe.

    A recipe's file may differ from what the run began with in where and how it is carried out.

    Args:
        name: the run's name.
        path: the recipe's file.
        overrides: ``key=value`` changes to the file.

    Raises:
        PoiseError: there is no such run, it began with another recipe, or a dataset has other
            content since.
    """
    if path is None:
        assert name is not None
        if overrides:
            raise PoiseError(
                f"--resume {name}: goes on as the run began and takes no {overrides[0]}"
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
    """The fingerprints of the datasets that a run began with; empty for an older version's."""
    path = home() / name / RUN_FILE
    return dict(read_json(path)["datasets"]) if path.exists() else {}


def check_datasets(name: str, recipe: Recipe, also: Sequence[str] = ()) -> None:
    """Refuses to go on where a dataset has other content than when the run began.

    Args:
        name: the run's name.
        recipe: the recipe to go on with.
        also: folders of datasets that the recipe does not name.

    Raises:
        PoiseError: the message names both fingerprints and the ways out.
    """
    from poise.training.datasets import check_unchanged, fingerprints, fingerprints_of

    known = kept_datasets(name)
    if known:
        check_unchanged(f"run {name}", known, fingerprints(recipe) | fingerprints_of(also))
    else:
        logger.info(
            "run %s began with an older version of Poise, which kept no fingerprints: its datasets "
            "are taken to be unchanged",
            name,
        )
