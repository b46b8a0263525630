"""Finds an interrupted run to continue.

In: the name of the run, or the file of its recipe. Out: the recipe and name of the run. Its dataset
and the settings that change the learned weights are the same as at the start of the run. Next:
``poise.runs.pretraining`` and ``poise.runs.probing``.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from poise.config.errors import PoiseError, first_few
from poise.config.files import read_fields
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
    """Finds the interrupted run to continue: by its name, or the newest run of a recipe.

    A given recipe may differ from the run's first recipe only in settings that do not change the
    learned weights.

    Args:
        name: name of the run. If it is None, ``path`` is required.
        path: path of the recipe's file.
        overrides: ``key=value`` changes to the recipe in the file.

    Raises:
        PoiseError: the run does not exist, it began with another recipe, or the content of a
            dataset has changed.
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
        PoiseError: no run of this recipe is unfinished.
    """
    from poise.config.loading import read_yaml

    begun = sorted(home().glob(f"*/{RECIPE_FILE}"), key=lambda path: -path.stat().st_mtime)
    of_recipe, unread = [], []
    for path in begun:
        try:
            if read_yaml(path).get("name") == recipe.name:
                of_recipe.append(path.parent)
        except PoiseError:
            unread.append(path.parent.name)
    for folder in of_recipe:
        if how_it_ended(recipe, folder.name) is None:
            return folder.name
    seen = f"all {len(of_recipe)} are finished" if of_recipe else "there is none"
    skipped = f" (cannot be read: {first_few(unread)})" if unread else ""
    raise PoiseError(
        f"--resume: {home()} holds no unfinished run of {recipe.name}: {seen}{skipped}"
    )


def begun(name: str, marker: str = RECIPE_FILE, kind: str = "run") -> Recipe:
    """Reads the recipe that a run began with.

    Args:
        name: name of the run.
        marker: name of a file that every run of this kind has in its folder.
        kind: word for this kind of run, such as ``probe``. The error message uses it.

    Raises:
        PoiseError: there is no such run.
    """
    from poise.config import load_recipe

    folder = home() / name
    if not (folder / marker).is_file():
        raise unknown(f"--resume {name}", kind, marker)
    return load_recipe(folder / RECIPE_FILE)


def kept_datasets(name: str) -> Fingerprints:
    """Maps the folder of each of a run's datasets to its fingerprint at the start of the run.

    The mapping is empty for a run that began with an older version of Poise.
    """
    path = home() / name / RUN_FILE
    if not path.exists():
        return {}
    fix = f"`rm {shlex.quote(str(path))}` lets the run go on without comparing its datasets"
    return dict(read_fields(path, fix, datasets=dict)["datasets"])


def check_datasets(name: str, recipe: Recipe, also: Sequence[str] = ()) -> None:
    """Raises an error if the content of a dataset has changed since the run began.

    Args:
        name: name of the run.
        recipe: recipe to continue with.
        also: folders of more datasets, which the recipe does not name.

    Raises:
        PoiseError: a dataset has changed. The message names both fingerprints and the possible
            fixes.
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
