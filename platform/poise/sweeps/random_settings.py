"""Draws the settings that a random sweep tries.

In: a search space. Out: a list of settings. The same space always gives the same settings. Next:
``poise.sweeps.planning``, which plans one trial for each setting and seed.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from ray import tune

from poise.config import Space
from poise.config.samplers import Sampler
from poise.studies.trials import Settings, product

_REDRAWS = 100  # draws without a new setting until a small space counts as exhausted


def draw_settings(space: Space) -> list[Settings]:
    """Draws the settings of a sweep that do not depend on results.

    Every combination of the grid parameters runs for each draw of the other parameters. No setting
    occurs twice. A space with few values may give fewer draws than requested.
    """
    grid = {k: s.values or () for k, s in space.parameters.items() if s.name == "grid_search"}
    drawn = [draw | cell for draw in _draws(space) for cell in product(grid)]
    return [{key: settings[key] for key in space.parameters} for settings in drawn]


def domain(sampler: Sampler) -> Any:
    """Returns Ray Tune's search-space object for a sampler that is not a grid."""
    return getattr(tune, sampler.name)(*_as_lists(sampler.arguments))


def _draws(space: Space) -> Iterator[dict[str, Any]]:
    domains = {k: domain(s) for k, s in space.parameters.items() if s.name != "grid_search"}
    if not domains:
        yield {}
        return
    random = np.random.RandomState(space.sampling_seed)  # the type that Tune's samplers need
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
