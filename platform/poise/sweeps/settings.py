"""Which settings are tried.

In: a space. Out: ``Trial``s, the same ones every time. Next: ``poise.sweeps.sources``, which
gives them out one by one.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from ray import tune

from poise.config import PoiseError, Recipe, Space, override
from poise.config.loading import with_absolute_paths
from poise.config.space import Sampler

_REDRAWS = 100  # before a space of few values counts as exhausted


@dataclass(frozen=True)
class Trial:
    """One recipe of the space."""

    name: str
    """See ``trial_name``."""

    setting: int
    """Trials of one setting differ in their seed alone."""

    settings: dict[str, Any] = field(hash=False)
    """Value by dotted key, for what the space varies."""

    seed: int

    def recipe(self, base: Recipe, study: str) -> Recipe:
        """The complete recipe. Its datasets are absolute: trials run in other folders.

        Raises:
            PoiseError: the settings do not go together.
        """
        changes = {**self.settings, "seed": self.seed}
        made = override(base, changes, f"study {study}, trial {self.name}")
        return with_absolute_paths(made)

    def as_config(self) -> dict[str, Any]:
        """Plain data, which ``Trial(**config)`` turns back."""
        return asdict(self)


Settings = dict[str, Any]
"""Value by dotted key, in the order of the space."""


def draw_settings(space: Space) -> list[Settings]:
    """The settings of a sweep that do not depend on results.

    The whole grid is run for each draw of the other parameters. No setting comes twice: a space
    of few values may end with fewer draws than asked for.
    """
    grid = {k: s.values or () for k, s in space.parameters.items() if s.name == "grid_search"}
    drawn = [draw | cell for draw in _draws(space) for cell in _product(grid)]
    return [{key: settings[key] for key in space.parameters} for settings in drawn]


def ablation_settings(space: Space, recipe: Recipe, source: str) -> list[Settings]:
    """The settings of an ablation: every value with every other, or one change at a time.

    Raises:
        PoiseError: a parameter is a range, of which there is no every.
    """
    values = _listed_values(space, source)
    if space.design == "crossed":
        return list(_product(values))
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
    """What draws from a space instead of ablating it; ``source`` is all that was typed for it."""
    crossed = "" if space.design == "crossed" else " design=crossed"
    return f"poise sweep {source}{crossed}"


def _product(values: Mapping[str, Sequence[Any]]) -> Iterator[Settings]:
    for cell in itertools.product(*values.values()):
        yield dict(zip(values, cell, strict=True))


def seeded(setting: int, settings: Settings, seeds: Iterable[int]) -> list[Trial]:
    """A setting's trials, one per seed: each sees the images and crops of its seed."""
    return [Trial(trial_name(setting, seed), setting, settings, seed) for seed in seeds]


def trial_name(setting: int, seed: int) -> str:
    """``t03-s1``, whatever other settings and seeds there are: a study may be extended."""
    return f"t{setting + 1:02d}-s{seed}"


def baseline_of(space: Space, recipe: Recipe) -> Settings:
    """What the other settings are compared with: the named values, else the recipe's own."""
    named = space.baseline or {}
    return {key: named[key] if key in named else value_of(recipe, key) for key in space.parameters}


def value_of(recipe: Recipe, key: str) -> Any:
    """A recipe's own value; none where it leaves the key out."""
    tree: Any = recipe.model_dump(mode="json")
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def domain(sampler: Sampler) -> Any:
    """Ray Tune's own object for a sampler that is not a grid."""
    return getattr(tune, sampler.name)(*_as_lists(sampler.arguments))


def _draws(space: Space) -> Iterator[dict[str, Any]]:
    domains = {k: domain(s) for k, s in space.parameters.items() if s.name != "grid_search"}
    if not domains:
        yield {}
        return
    random = np.random.RandomState(space.sampling_seed)  # what Tune's samplers take
    seen: list[dict[str, Any]] = []
    for _ in range(space.trials):
        for _ in range(_REDRAWS):
            draw = {key: _plain(each.sample(random_state=random)) for key, each in domains.items()}
            if draw not in seen:
                break
        else:
            return
        seen.append(draw)
        yield draw


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _as_lists(arguments: tuple[Any, ...]) -> list[Any]:
    return [list(each) if isinstance(each, tuple) else each for each in arguments]
