"""Draws textures, which are the classes of ``scenes``.

In: coordinates in texture periods. Out: the share of the second colour in each pixel, in [0, 1].
Next: ``poise.data.sources.scene_drawing``, which paints objects with textures.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Texture = Callable[[Plane, Plane, np.random.Generator], Plane]

_EDGE_SHARPNESS = 2.5
"""Slope of a texture's edges: 0.5 gives a sine wave, large values give a square wave."""

_DOT_RADIUS_PERIODS = 0.32
_RAYS = (5, 9)
"""Smallest and largest number of pairs of sectors in a pinwheel."""

_CENTER_OFFSET_PERIODS = 0.5
"""Largest distance between the centre of rings or rays and the centre of the object."""


def value_noise(cells: tuple[int, int], px: int, rng: np.random.Generator) -> Plane:
    """Draws smooth noise in [0, 1] of size ``px × px``, with ``cells`` bumps along each axis."""
    rows, columns = cells
    knots = rng.random((rows + 1, columns + 1), dtype=np.float32)
    return _blend(_blend(knots, rows, px, axis=0), columns, px, axis=1)


def _blend(knots: Plane, cells: int, px: int, axis: int) -> Plane:
    """Interpolates between knots along one axis, with a cosine curve."""
    position = (np.arange(px, dtype=np.float32) + 0.5) * (cells / px)
    cell = np.minimum(position.astype(np.intp), cells - 1)
    share = 0.5 - 0.5 * np.cos(np.pi * (position - cell).astype(np.float32))
    share = share[:, None] if axis == 0 else share
    low, high = knots.take(cell, axis), knots.take(cell + 1, axis)
    blended: Plane = low + (high - low) * share
    return blended


def _wave(signal: Plane) -> Plane:
    """Turns a signal in [-1, 1] into bands in [0, 1] with soft edges."""
    banded: Plane = np.clip(0.5 + _EDGE_SHARPNESS * signal, 0, 1)
    return banded


def _center(rng: np.random.Generator) -> tuple[np.float32, np.float32]:
    x, y = rng.uniform(-_CENTER_OFFSET_PERIODS, _CENTER_OFFSET_PERIODS, 2).astype(np.float32)
    return x, y


def _phase(rng: np.random.Generator) -> np.float32:
    return np.float32(rng.random())


def _plain(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    """Draws a slow change between the two colours, without a pattern."""
    ramp: Plane = np.clip(0.5 + 0.12 * u, 0, 1)
    return ramp


def _stripes(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    return _wave(np.sin(2 * np.pi * (u + _phase(rng))))


def _zigzag(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    """Draws stripes that turn by 90 degrees every period."""
    fold = 2 * np.abs((v * 0.5 + _phase(rng)) % 1 - 0.5)
    return _wave(np.sin(2 * np.pi * (u + 2 * fold)))


def _checks(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    across, along = u + _phase(rng), v + _phase(rng)
    return _wave(np.sin(np.pi * across) * np.sin(np.pi * along))


def _dots(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    across, along = (u + _phase(rng)) % 1 - 0.5, (v + _phase(rng)) % 1 - 0.5
    return _wave(2 * (_DOT_RADIUS_PERIODS - np.hypot(across, along)))


def _rings(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    x, y = _center(rng)
    return _wave(np.sin(2 * np.pi * (np.hypot(u - x, v - y) + _phase(rng))))


def _rays(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    x, y = _center(rng)
    turns = rng.integers(_RAYS[0], _RAYS[1] + 1)
    return _wave(np.sin(turns * np.arctan2(v - y, u - x)))


def _blobs(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    """Draws smooth blobs.

    The blobs are the places where a sum of waves in random directions is positive.
    """
    angles = rng.uniform(0, np.pi, 6).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, 6).astype(np.float32)
    directions = u[..., None] * np.cos(angles) + v[..., None] * np.sin(angles)
    return _wave(np.sin(np.pi * directions + phases).sum(axis=-1) / 3)


FAMILIES: dict[str, Texture] = {
    "plain": _plain,
    "stripes": _stripes,
    "zigzag": _zigzag,
    "checks": _checks,
    "dots": _dots,
    "rings": _rings,
    "rays": _rays,
    "blobs": _blobs,
}
"""Maps each class name to its texture, in label order."""
