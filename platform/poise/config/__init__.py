"""Turns YAML files and overrides into complete, frozen and checked objects.

In: YAML and ``key=value`` overrides. Out: a ``Recipe`` (one run) or a ``Space`` (one study). Next:
``poise.data``.
"""

from poise.config.errors import PoiseError
from poise.config.loading import load_recipe, load_space, override
from poise.config.recipe import Recipe
from poise.config.space import Space

__all__ = ["PoiseError", "Recipe", "Space", "load_recipe", "load_space", "override"]
