"""Trials of a study: settings, seeds and names.

In: a space. Out: ``Trial``s. Next: ``poise.studies.study``.
"""

import itertools
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from poise.config import PoiseError, Recipe, Space, override
from poise.config.loading import with_absolute_paths


@dataclass(frozen=True)
class Trial:
    """One recipe of the space."""

    name: str
    """Name of the trial; see ``trial_name``."""

    setting: int
    """Number of the setting. Trials of one setting differ only in their seed."""

    settings: dict[str, Any] = field(hash=False)
    """Value by dotted key, for the keys that the space varies."""

    seed: int

    def recipe(self, base: Recipe, study: str) -> Recipe:
        """Makes the complete recipe.

        Its datasets have absolute paths, because trials run in other folders.

        Raises:
            PoiseError: the settings do not fit together.
        """
        changes = {**self.settings, "seed": self.seed}
        made = override(base, changes, f"study {study}, trial {self.name}")
        return with_absolute_paths(made)

    def as_config(self) -> dict[str, Any]:
        """Returns plain data. ``Trial(**config)`` makes the trial again."""
        return asdict(self)


Settings = dict[str, Any]
"""Value by dotted key, in the order of the space."""


def ablation_settings(space: Space, recipe: Recipe, source: str) -> list[Settings]:
    """Makes the settings of an ablation: all combinations of values, or one change at a time.

    Raises:
        PoiseError: a parameter is a range; an ablation needs a list of values.
    """
    values = _listed_values(space, source)
    if space.design == "crossed":
        return list(product(values))
    baseline = baseline_of(space, recipe)
    changed = [
        {**baseline, key: value}
        for key in values
        for value in values[key]
        if value != baseline[key]
    ]
    return [baseline, *changed]


def _listed_values(space: Space, source: str) -> dict[str, Sequence[Any]]:
    for key, sampler in space.parameters.items():
        if sampler.values is None:
            raise PoiseError(
                f"{source}: parameters.{key}: {sampler.name} draws from a range, and an ablation "
                f"runs every value: list some ({{grid_search: [{sampler.arguments[0]}, …]}}), or "
                f"draw with `{sweep_command(space, source)}`"
            )
    return {key: sampler.values or () for key, sampler in space.parameters.items()}


def sweep_command(space: Space, source: str) -> str:
    """Makes the command that draws from a space instead of ablating it.

    Args:
        space: space of the study.
        source: file of the space, and all words typed after it.
    """
    if space.design == "crossed":
        return f"poise sweep {source}"
    words = [word for word in shlex.split(source) if not word.startswith("design=")]
    return shlex.join(["poise", "sweep", *words, "design=crossed"])


def product(values: Mapping[str, Sequence[Any]]) -> Iterator[Settings]:
    """Yields all combinations of the keys' values."""
    for cell in itertools.product(*values.values()):
        yield dict(zip(values, cell, strict=True))


def seeded(setting: int, settings: Settings, seeds: Iterable[int]) -> list[Trial]:
    """Makes a setting's trials, one per seed. Each sees the images and crops of its seed."""
    return [Trial(trial_name(setting, seed), setting, settings, seed) for seed in seeds]


def trial_name(setting: int, seed: int) -> str:
    """Makes a name such as ``t03-s1``. It stays the same if other settings or seeds are added."""
    return f"t{setting + 1:02d}-s{seed}"


def baseline_of(space: Space, recipe: Recipe) -> Settings:
    """Returns the setting that others are compared with.

    Its values are those that the space names, else the recipe's.
    """
    named = space.baseline or {}
    return {key: named[key] if key in named else value_of(recipe, key) for key in space.parameters}


def value_of(recipe: Recipe, key: str) -> Any:
    """Returns a recipe's own value; None if the recipe does not have the key."""
    tree: Any = recipe.model_dump(mode="json")
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
