"""Draws the videos of ``scenes-video``, with the exact mask of the object in every frame.

In: a seed, the number of a video and the number of a frame. Out: a ``Scene``. Next:
``poise.data.sources.scenes``.

Video number i shows the object of scene number i at half its size. The object moves on a smooth
path, turns, and changes its size. The camera moves slowly over the background. Light and haze do
not change. The haze is thinner than in scenes, so the object stays visible.
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
"""Number of frames in one video."""

DEFAULT_PX = 64
"""Side of a frame in pixels. An object covers as many pixels as in a scene of 32 pixels."""

OBJECT_SCALE = 0.5
SWING = (0.10, 0.24)  # amplitude of the path, in sides of the image
SWINGS = (0.5, 1.2)  # number of swings in a video, for each axis
SPIN = np.pi / 2  # largest rotation in a video, in radians
ZOOM = 0.2  # largest relative change of size
MOST_HAZE = 0.5  # less than in scenes, so that all objects stay visible
PAN = 0.2  # relative excess of the background's side over the image's


@dataclass(frozen=True)
class _Motion:
    """Parameters of the motions in one video. Pairs contain x and y."""

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
        """Returns the object's pose at a time from 0 (start) to 1 (end)."""
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
        """Cuts out the part of the background that the camera sees at a time."""
        share = 0.5 + 0.5 * np.sin(2 * np.pi * (0.5 * time + self.pan_phase))
        left, top = np.rint(share * (canvas.shape[0] - side)).astype(int)
        return canvas[top : top + side, left : left + side].copy()


def draw_frame(seed: int, index: int, frame: int, px: int = DEFAULT_PX) -> Scene:
    """Draws one frame of video number ``index``. The pixels depend only on the arguments."""
    motion, time = _Motion.of(seed, index), frame / NUM_FRAMES
    canvas = motion.window(_wide_clutter(seed, index, px), px * SUPERSAMPLING, time)
    label, mask = paint_object(canvas, seed, index, lambda pose: motion.moved(pose, time))
    return Scene(develop(canvas, seed, index, frame, MOST_HAZE), label, mask, (smallest_box(mask),))


@lru_cache(maxsize=1)  # all frames of a video have the same background
def _wide_clutter(seed: int, index: int, px: int) -> Plane:
    return paint_clutter(seed, index, round(px * (1 + PAN)))
