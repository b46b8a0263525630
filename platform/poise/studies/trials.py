"""Trials of a study: their settings, seeds and names.

A setting is one combination of values of the hyperparameters that a study varies. A trial is one
training run with one setting and one seed.

In: a search space. Out: ``Trial`` objects. Next: ``poise.studies.study``.
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
    """One trial of a study: a setting with one seed."""

    name: str
    """Name of the trial, such as ``t03-s1`` (see ``trial_name``)."""

    setting: int
    """Number of the setting. Trials with the same number differ only in their seed."""

    settings: dict[str, Any] = field(hash=False)
    """Values of the hyperparameters that vary, by dotted key."""

    seed: int

    def recipe(self, base: Recipe, study: str) -> Recipe:
        """Makes the complete recipe of the trial.

        The paths of its datasets are absolute, because trials run in other folders.

        Raises:
            PoiseError: the values of the setting do not fit together.
        """
        changes = {**self.settings, "seed": self.seed}
        made = override(base, changes, f"study {study}, trial {self.name}")
        return with_absolute_paths(made)

    def as_config(self) -> dict[str, Any]:
        """Returns the trial as a dict. ``Trial(**config)`` makes the trial again."""
        return asdict(self)


Settings = dict[str, Any]
"""Values of hyperparameters by dotted key, in the order of the search space."""


def ablation_settings(space: Space, recipe: Recipe, source: str) -> list[Settings]:
    """Makes the settings of an ablation: all combinations of values, or one change at a time.

    Raises:
        PoiseError: a hyperparameter has a range. An ablation needs a list of values.
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
    """Makes the ``sweep`` command for a space whose ranges do not allow an ablation.

    Args:
        space: search space of the study.
        source: path of the study's file, and all words that the user typed after it.
    """
    if space.design == "crossed":
        return f"poise sweep {source}"
    words = [word for word in shlex.split(source) if not word.startswith("design=")]
    return shlex.join(["poise", "sweep", *words, "design=crossed"])


def product(values: Mapping[str, Sequence[Any]]) -> Iterator[Settings]:
    """Yields all combinations of the values of the keys."""
    for cell in itertools.product(*values.values()):
        yield dict(zip(values, cell, strict=True))


def seeded(setting: int, settings: Settings, seeds: Iterable[int]) -> list[Trial]:
    """Makes the trials of a setting, one per seed. The seed decides their images and crops."""
    return [Trial(trial_name(setting, seed), setting, settings, seed) for seed in seeds]


def trial_name(setting: int, seed: int) -> str:
    """Makes a trial's name, such as ``t03-s1``.

    It does not change if settings or seeds are added.
    """
    return f"t{setting + 1:02d}-s{seed}"


def baseline_of(space: Space, recipe: Recipe) -> Settings:
    """Returns the baseline: the setting that others are compared with.

    Values that the search space does not name come from the recipe.
    """
    named = space.baseline or {}
    return {key: named[key] if key in named else value_of(recipe, key) for key in space.parameters}


def value_of(recipe: Recipe, key: str) -> Any:
    """Returns the value of a key in a recipe, or None if the recipe does not have the key."""
    tree: Any = recipe.model_dump(mode="json")
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
