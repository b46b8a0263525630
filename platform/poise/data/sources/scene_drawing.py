"""Draws the images of ``scenes``, a dataset that needs no download, with labels, boxes and masks.

In: a seed and an index. Out: a ``Scene``, which is one textured object on a textured background.
Next: ``poise.data.preparation.ingest`` stores scenes like images of any other source.

Each class has its own texture and its own pair of hues. Everything else is independent of the
class: light, haze and background; the object's place, size, outline and orientation; and the
texture's scale, contrast and brighter hue. In raw pixels, these differences are larger than the
differences between classes. So a model must learn what the images of a class have in common. Views
that change light and contrast are enough to learn this.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from poise.data.sources.scene_textures import FAMILIES, Plane, value_noise

CLASSES = tuple(FAMILIES)
DEFAULT_PX = 32
MIN_PX = 16
MAX_PX = 1024

# Parameters of a scene. Lengths are shares of the image's side; a pair is the range of a value.
SUPERSAMPLING = 2
OBJECT_RADIUS = (0.34, 0.48)
OBJECT_ASPECT = (0.75, 1.0)
OBJECT_OFFSET = 0.10
OUTLINE_EXPONENT = (1.3, 5.0)  # superellipse: below 2 a star, 2 an ellipse, above 2 a box
TEXTURE_PERIOD = (0.15, 0.26)
TEXTURE_CONTRAST = (0.35, 0.75)  # difference in luminance between an object's two colours
CLUTTER_CELLS = (3, 9)  # bumps along a side of the coarse and of the fine background noise
CLUTTER_PATCHES = 10
PATCH_RADIUS = (0.06, 0.18)
HUE_STEP = 0.4  # in turns, between an object's two colours
HUE_SPREAD = 0.03  # in turns, between objects of one class
SATURATION = (0.45, 0.8)
CLUTTER_SATURATION = 0.5
EXPOSURE = (0.1, 1.2)  # its logarithm is drawn uniformly
HAZE = (0.0, 0.85)  # share of the picture that grey haze hides
LIGHT_SLOPE = 0.35  # relative difference in brightness between the lit side and the middle
PIXEL_NOISE = 0.03

_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Pose:
    """Place, size and shape of an object, and the place of its texture.

    Lengths are shares of the image's side. Angles are in radians.
    """

    center: NDArray[np.float32]  # x and y, from the image's centre
    angle: float
    radius: float
    exponent: float
    aspect: float
    turn: float  # angle between the texture and the object
    period: float


@dataclass(frozen=True)
class Scene:
    """One drawn image with its label, mask and boxes."""

    image: NDArray[np.uint8]  # [px, px, 3], RGB
    label: int  # into CLASSES
    mask: NDArray[np.uint8]  # [px, px], 1 on the object
    boxes: tuple[tuple[int, int, int, int], ...]  # x0, y0, x1, y1; x1 and y1 are exclusive

    def png(self) -> bytes:
        """Encodes the image as PNG."""
        return _encode(self.image)

    def mask_png(self) -> bytes:
        """Encodes the mask as PNG with values 0 and 1."""
        return _encode(self.mask)


def draw_scene(seed: int, index: int, px: int = DEFAULT_PX) -> Scene:
    """Draws scene number ``index`` of a seed. The pixels depend only on the arguments."""
    canvas = paint_clutter(seed, index, px)
    label, mask = paint_object(canvas, seed, index)
    return Scene(develop(canvas, seed, index), label, mask, (smallest_box(mask),))


def draw_clutter(seed: int, index: int, px: int = DEFAULT_PX) -> NDArray[np.uint8]:
    """Draws the scene of ``draw_scene`` without its object: uint8 [px, px, 3]."""
    return develop(paint_clutter(seed, index, px), seed, index)


def paint_object(
    canvas: Plane, seed: int, index: int, move: Callable[[Pose], Pose] = lambda pose: pose
) -> tuple[int, NDArray[np.uint8]]:
    """Paints the object of scene number ``index`` on a canvas, in place.

    Args:
        canvas: float32 [side, side, 3]; ``side`` is ``SUPERSAMPLING`` times the image's side.
        seed: seed of the scenes.
        index: number of the scene.
        move: function from the pose that was drawn for the object to the pose that is painted.

    Returns:
        The object's class, and its mask uint8 [px, px] of 0 and 1.
    """
    rng = np.random.default_rng((seed, index, 1))
    label = int(rng.integers(len(CLASSES)))
    x, y = _coordinates(canvas.shape[0])
    coverage, u, v = _outline(x, y, move(_draw_pose(rng)))
    mix = FAMILIES[CLASSES[label]](u, v, rng)
    dark, bright = _colors(label, rng)
    painted = dark + (bright - dark) * mix[..., None]
    canvas += (painted - canvas) * coverage[..., None]
    return label, (_shrink(coverage) >= 0.5).astype(np.uint8)


def _coordinates(side: int) -> tuple[Plane, Plane]:
    """Returns the coordinates x and y of the canvas's pixel centres, from −0.5 to 0.5."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    x: Plane = np.tile(axis, (side, 1))
    return x, x.T


def _draw_pose(rng: np.random.Generator) -> Pose:
    # The order of the draws is part of every scene.
    return Pose(
        center=rng.uniform(-OBJECT_OFFSET, OBJECT_OFFSET, 2).astype(np.float32),
        angle=rng.uniform(0, np.pi),
        radius=rng.uniform(*OBJECT_RADIUS),
        exponent=rng.uniform(*OUTLINE_EXPONENT),
        aspect=rng.uniform(*OBJECT_ASPECT),
        turn=rng.uniform(0, 2 * np.pi),
        period=rng.uniform(*TEXTURE_PERIOD),
    )


def _outline(x: Plane, y: Plane, pose: Pose) -> tuple[Plane, Plane, Plane]:
    """Computes where the object covers the canvas (0 or 1), and texture coordinates in periods."""
    along, across = _turned(x, y, pose.center, pose.angle)
    inside = _superellipse(along, across, pose.radius, pose.radius * pose.aspect, pose.exponent)
    turn, period = pose.turn, pose.period
    u = (np.cos(turn) * along + np.sin(turn) * across) / period
    v = (np.cos(turn) * across - np.sin(turn) * along) / period
    return inside.astype(np.float32), u.astype(np.float32), v.astype(np.float32)


def _turned(x: Plane, y: Plane, center: NDArray[np.float32], angle: float) -> tuple[Plane, Plane]:
    """Returns the distances from a centre along a direction and across the direction."""
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = x - center[0], y - center[1]
    return cosine * dx + sine * dy, cosine * dy - sine * dx


def _superellipse(
    along: Plane, across: Plane, a: float, b: float, exponent: float
) -> NDArray[np.bool_]:
    power = np.float32(exponent)
    inside: NDArray[np.bool_] = (
        np.abs(along / np.float32(a)) ** power + np.abs(across / np.float32(b)) ** power < 1
    )
    return inside


def _colors(label: int, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Draws an object's two RGB colours.

    The colours have the hues of the class, and a random saturation and contrast.
    """
    hues = label / len(CLASSES) + HUE_STEP * np.arange(2) + HUE_SPREAD * rng.standard_normal(2)
    first, second = (_rgb(hue, rng.uniform(*SATURATION)) for hue in hues)
    contrast = np.float32(rng.uniform(*TEXTURE_CONTRAST))
    low = np.float32(rng.uniform(0.2, 0.95 - contrast))
    first = first * (low / (first @ _LUMINANCE))
    second = second * ((low + contrast) / (second @ _LUMINANCE))
    return (first, second) if rng.random() < 0.5 else (second, first)


def _rgb(hue: float, saturation: float) -> Plane:
    """Computes the brightest RGB colour with a hue (in turns) and a saturation."""
    distance = np.abs((hue * 6 - np.array([0, 2, 4])) % 6 - 3) - 1
    color: Plane = (1 - saturation * (1 - np.clip(distance, 0, 1))).astype(np.float32)
    return color


def paint_clutter(seed: int, index: int, px: int) -> Plane:
    """Draws a textured background with scattered patches: float32 [side, side, 3]."""
    rng = np.random.default_rng((seed, index, 0))
    side = px * SUPERSAMPLING
    x, y = _coordinates(side)
    colors = _clutter_color(rng.random((3, 3), dtype=np.float32))
    coarse, fine = (value_noise((cells, cells), side, rng)[..., None] for cells in CLUTTER_CELLS)
    canvas: Plane = colors[0] + (colors[1] - colors[0]) * coarse
    canvas += (colors[2] - canvas) * (0.6 * fine)
    for _ in range(CLUTTER_PATCHES):
        _scatter_patch(canvas, x, y, rng)
    return canvas


def _scatter_patch(canvas: Plane, x: Plane, y: Plane, rng: np.random.Generator) -> None:
    """Paints one patch of one colour. Only pixels near the patch are computed."""
    center = rng.uniform(-0.5, 0.5, 2).astype(np.float32)
    a, b = rng.uniform(*PATCH_RADIUS, 2)
    reach = np.float32(1.5 * max(a, b))  # a turned box's corner is √2 radii away
    columns, rows = (
        slice(*np.searchsorted(x[0], (middle - reach, middle + reach))) for middle in center
    )
    window = (rows, columns)
    along, across = _turned(x[window], y[window], center, rng.uniform(0, np.pi))
    inside = _superellipse(along, across, a, b, rng.uniform(*OUTLINE_EXPONENT))
    canvas[window][inside] = _clutter_color(rng.random(3, dtype=np.float32))


def _clutter_color(rgb: Plane) -> Plane:
    """Makes a colour pale, so that the background has less intense hues than the object."""
    gray: Plane = (rgb @ _LUMINANCE)[..., None]
    muted: Plane = gray + CLUTTER_SATURATION * (rgb - gray)
    return muted


def develop(
    canvas: Plane, seed: int, index: int, frame: int = 0, most_haze: float = HAZE[1]
) -> NDArray[np.uint8]:
    """Adds light from one side, haze and noise, and makes the final image.

    The canvas is reduced to the image's size and converted to uint8. All frames of a video have the
    same light and haze. Each frame has its own noise.
    """
    x, y = _coordinates(canvas.shape[0])
    rng = np.random.default_rng((seed, index, 2))
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, LIGHT_SLOPE) * 2
    light: Plane = 1 + np.float32(slope * np.cos(angle)) * x + np.float32(slope * np.sin(angle)) * y
    exposure = np.exp(rng.uniform(*np.log(EXPOSURE)))
    haze, veil = np.float32(rng.uniform(HAZE[0], most_haze)), rng.random(dtype=np.float32)
    lit: Plane = canvas * (np.float32(exposure) * light[..., None])
    image = _shrink(lit)
    image += haze * (veil - image)
    grain = np.random.default_rng((seed, index, 2, frame)) if frame else rng
    image += PIXEL_NOISE * grain.standard_normal(image.shape, dtype=np.float32)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _shrink(canvas: Plane) -> Plane:
    """Averages blocks of the supersampled canvas to the image's pixels."""
    px = canvas.shape[0] // SUPERSAMPLING
    blocks = canvas.reshape(px, SUPERSAMPLING, px, SUPERSAMPLING, *canvas.shape[2:])
    averaged: Plane = blocks.mean(axis=(1, 3))
    return averaged


def smallest_box(mask: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Computes the smallest box around the mask: x0, y0, x1, y1, with exclusive x1 and y1."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _encode(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
