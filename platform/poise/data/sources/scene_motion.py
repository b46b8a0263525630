"""Short videos of the embedded scenes, with the exact mask of the object in every frame.

In: a seed, a video's number and a frame's number. Out: a ``Scene``. Next:
``poise.data.sources.scenes``.

Video number i shows the object of scene number i, but half as large. The object moves on a smooth
path, turns, and changes its size. The camera moves slowly over the clutter. Light and haze do not
change. The haze is thinner than in scenes, so the object stays visible.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from poise.data.sources.scene_drawing import (
    SUPERSAMPLING,
    Pose,
    Scene,
    develop,
    paint_clutter,
    paint_object,
    smallest_box,
)
from poise.data.sources.scene_textures import Plane

NUM_FRAMES = 24
"""Frames of one video."""

DEFAULT_PX = 64
"""Side of a frame. With 64 pixels the object covers as many pixels as in a scene of 32 pixels."""

OBJECT_SCALE = 0.5
SWING = (0.10, 0.24)  # how far the object leaves its middle, in sides of the image
SWINGS = (0.5, 1.2)  # per video and axis
SPIN = np.pi / 2  # most turning in a video, in radians
ZOOM = 0.2  # most change of size, up or down
MOST_HAZE = 0.5  # less than in scenes, or nobody could follow some of the objects
PAN = 0.2  # how much longer the clutter's side is than the image's


@dataclass(frozen=True)
class _Motion:
    """Motions of one video. Each pair holds x and y."""

    swing: NDArray[np.float64]
    swings: NDArray[np.float64]
    phase: NDArray[np.float64]
    spin: float
    zoom: float
    pan_phase: NDArray[np.float64]

    @classmethod
    def of(cls, seed: int, index: int) -> "_Motion":
        rng = np.random.default_rng((seed, index, 3))
        return cls(
            swing=rng.uniform(*SWING, 2),
            swings=rng.uniform(*SWINGS, 2),
            phase=rng.random(2),
            spin=rng.uniform(-SPIN, SPIN),
            zoom=rng.uniform(-ZOOM, ZOOM),
            pan_phase=rng.random(2),
        )

    def moved(self, pose: Pose, time: float) -> Pose:
        """Returns the object's pose at a time from 0 to 1."""
        wave = np.sin(2 * np.pi * (self.swings * time + self.phase))
        scale = OBJECT_SCALE * (1 + self.zoom * np.sin(np.pi * time))
        return replace(
            pose,
            center=(OBJECT_SCALE * pose.center + self.swing * wave).astype(np.float32),
            angle=pose.angle + self.spin * time,
            radius=pose.radius * scale,
            period=pose.period * scale,
        )

    def window(self, canvas: Plane, side: int, time: float) -> Plane:
        """Cuts the camera's view out of the clutter."""
        share = 0.5 + 0.5 * np.sin(2 * np.pi * (0.5 * time + self.pan_phase))
        left, top = np.rint(share * (canvas.shape[0] - side)).astype(int)
        return canvas[top : top + side, left : left + side].copy()


def draw_frame(seed: int, index: int, frame: int, px: int = DEFAULT_PX) -> Scene:
    """Draws one frame of video number ``index``; the arguments alone decide every pixel."""
    motion, time = _Motion.of(seed, index), frame / NUM_FRAMES
    canvas = motion.window(_wide_clutter(seed, index, px), px * SUPERSAMPLING, time)
    label, mask = paint_object(canvas, seed, index, lambda pose: motion.moved(pose, time))
    return Scene(develop(canvas, seed, index, frame, MOST_HAZE), label, mask, (smallest_box(mask),))


@lru_cache(maxsize=1)  # all frames of a video have it in common
def _wide_clutter(seed: int, index: int, px: int) -> Plane:
    return paint_clutter(seed, index, round(px * (1 + PAN)))
