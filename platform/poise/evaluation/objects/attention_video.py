"""Draws attention over the frames of a video, as pictures and as an animation.

In: a model and frames. Out: a PNG file for each frame, and an animated WebP or GIF. Next:
``poise evaluate attention-video``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from poise.config.errors import PoiseError
from poise.evaluation.objects.attention_masks import mass_masks
from poise.evaluation.objects.overlap import AttentionMasks
from poise.evaluation.objects.padding import enlarged, faded
from poise.evaluation.reading.inference import Normalization, evaluation_mode, normalized
from poise.evaluation.reading.native import NativeSize

Show = Literal["overlay", "mask", "both"]
"""Kind of picture.

``overlay``: colours over the frame show the attention. ``mask``: the frame is faded outside the
attention mask. ``both``: the frame, the overlay and the mask side by side.
"""

ANIMATED_FRAMES: Final = 300
"""Largest number of frames in an animation, which is encoded in memory. Longer videos skip frames.
"""

_ANIMATED_SIDE = 640  # longest side of an animation in pixels
_OPACITY = 0.6
_COLORS = (matplotlib.colormaps["inferno"](np.arange(256))[:, :3] * 255).astype(np.uint8)


@dataclass(frozen=True)
class VideoSettings:
    """Settings of the pictures of each frame."""

    native_size: NativeSize
    head: int | None = None
    """Number of the drawn head, from 1. None takes the mean of all heads, as published."""

    show: Show = "overlay"


def draw_frames(
    model: AttentionMasks,
    frames: Iterable[Image.Image],
    normalization: Normalization,
    device: torch.device,
    settings: VideoSettings,
) -> Iterator[Image.Image]:
    """Draws the attention of [cls] over each frame. Only one frame is in memory at a time.

    The colours of each frame range from 0 to the frame's largest attention.

    Args:
        model: model on ``device``.
        frames: RGB images of any size.
        normalization: channel means and standard deviations.
        device: device that computes.
        settings: settings of the pictures.

    Raises:
        PoiseError: the model has no head with the given number.
    """
    row = -1 if settings.head is None else settings.head - 1
    with evaluation_mode(model):
        for frame in frames:
            size = settings.native_size.of(frame.size)
            resized = frame.resize(size, Image.Resampling.BICUBIC)
            pixels = np.array(resized)
            batch = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
            with torch.no_grad():
                attention = model.attention(normalized(batch.to(device), normalization))[0]
            _check_head(settings.head, len(attention) - 1)
            yield Image.fromarray(_drawn(pixels, attention[row], model, settings.show))


def write_frames(folder: Path, images: Iterator[Image.Image]) -> list[Path]:
    """Writes each image as ``frame-00000.png`` and so on.

    Args:
        folder: folder of the files, which is made if needed.
        images: images in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, image in enumerate(images):
        path = folder / f"frame-{number:05d}.png"
        image.save(path, compress_level=1)
        paths.append(path)
    return paths


def write_animation(path: Path, frames: list[Path], frame_ms: float) -> int:
    """Writes an animation that repeats forever, as WebP or GIF according to its suffix.

    If a video has more than ``ANIMATED_FRAMES`` frames, only every second, third … frame is shown,
    for a longer time. So the animation lasts as long as the video. Frames are shrunk to 640 px.
    Frames of another size than the first frame get a black border.

    Args:
        path: path of the file.
        frames: PNG files, at least one.
        frame_ms: duration of a frame in milliseconds.

    Returns:
        Number of frames in the animation.
    """
    step = -(-len(frames) // ANIMATED_FRAMES)
    first, *rest = map(_small, frames[::step])
    # All frames of an animation need one size, but files of a folder may have several.
    rest = [each if each.size == first.size else ImageOps.pad(each, first.size) for each in rest]
    duration = round(frame_ms * step)
    first.save(path, save_all=True, append_images=rest, duration=duration, loop=0)
    return 1 + len(rest)


def _small(path: Path) -> Image.Image:
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((_ANIMATED_SIDE, _ANIMATED_SIDE))
    return small


def _check_head(head: int | None, num_heads: int) -> None:
    if head is not None and not 1 <= head <= num_heads:
        raise PoiseError(f"--head {head}: the model's heads have the numbers 1 to {num_heads}")


def _drawn(
    pixels: NDArray[np.uint8], attention: Tensor, model: AttentionMasks, show: Show
) -> NDArray[np.uint8]:
    """Draws the attention to the patches of a frame, [N], over the frame [h, w, 3]."""
    size = (pixels.shape[1], pixels.shape[0])
    pictures = [pixels] if show == "both" else []
    if show != "mask":
        level = (attention / attention.max().clamp_min(1e-12) * 255).round().byte()
        colors = _COLORS[enlarged(level.cpu().numpy(), model.patch_px, size)]
        mixed = (1 - _OPACITY) * pixels + _OPACITY * colors
        pictures.append(mixed.round().astype(np.uint8))
    if show != "overlay":
        mask = mass_masks(attention, model.kept_mass).cpu().numpy()
        pictures.append(faded(pixels, enlarged(mask, model.patch_px, size)))
    return np.concatenate(pictures, axis=1)
