"""Reads a search space together with the recipe that it varies.

In: the path of a space's file, and overrides from the command line. Out: the ``Space`` and its
``Recipe`` with these overrides. Next: ``poise.sweeps.planning``, and ``poise.cli.submit``, which
sends both to a cluster.
"""

from collections.abc import Sequence
from pathlib import Path

from poise.config.errors import PoiseError
from poise.config.keys import field_names, nearest
from poise.config.loading import load_recipe, load_space, parse_overrides
from poise.config.paths import given_path
from poise.config.recipe import Recipe
from poise.config.space import Space


def load_space_and_recipe(path: str, overrides: Sequence[str]) -> tuple[Space, Recipe]:
    """Reads a space and its recipe.

    Args:
        path: path of the space's file.
        overrides: ``key=value`` overrides of the space (``trials=8``) or of its recipe
            (``training.epochs=2``).

    Raises:
        PoiseError: a file, a key or a value is wrong; the message names the mistake and the fix.
    """
    for_space, for_recipe = sort_overrides(overrides)
    space = load_space(path, for_space)
    return space, load_recipe(recipe_file(path, space, for_space), for_recipe)


def recipe_file(path: str, space: Space, for_space: Sequence[str] = ()) -> Path:
    """Returns the path of the recipe, which is relative to the folder of the space's file.

    If the command line overrides ``recipe``, the path may also be relative to the current folder.
    """
    here = given_path(space.recipe)
    beside = given_path(path).parent / here
    typed = "recipe" in parse_overrides(for_space)
    return here if typed and here.exists() and not beside.exists() else beside


def sort_overrides(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates the overrides of the space from the overrides of its recipe."""
    for_space, for_recipe = [], []
    for text in overrides:
        (key,) = parse_overrides([text])
        top = key.partition(".")[0]
        if top in Space.model_fields:
            for_space.append(text)
        elif top in Recipe.model_fields:
            for_recipe.append(text)
        else:
            names = [*Space.model_fields, *field_names()]
            raise PoiseError(f"command line: no option is called '{key}'{nearest(key, names)}")
    return for_space, for_recipe
