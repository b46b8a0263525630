"""`poise evaluate attention-video`: draws the attention of a model in each frame of a video.

In: a model and a video. Out: frames and an animation. Next: nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.arguments import PackageArgument
from poise.cli.evaluate.models import NamedModel, open_transformers
from poise.cli.evaluate.objects import KeptMassOption, MaxPatchesOption, ShorterOption
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.data.sources.frames import Frames

_DEFAULT_FPS = 25.0


class Shown(StrEnum):
    """Content of each drawn frame."""

    OVERLAY = "overlay"
    MASK = "mask"
    BOTH = "both"


class Animation(StrEnum):
    """File formats of the animation."""

    WEBP = "webp"
    GIF = "gif"


@dataclass(frozen=True)
class VideoRequest:
    """Arguments and options of `poise evaluate attention-video`."""

    model: PackageArgument
    video: Annotated[
        Path,
        typer.Argument(help="Folder of frames, animated GIF, WebP or PNG, or a video file."),
    ]
    out: Annotated[Path, typer.Argument(help="New folder for the frames and the animation.")]
    head: Annotated[
        int | None, typer.Option(min=1, help="Number of the head. Default: the mean of all.")
    ] = None
    show: Annotated[
        Shown,
        typer.Option(
            help="Attention over the frame, the frame faded outside its mask, or both side by side."
        ),
    ] = Shown.OVERLAY
    kept_mass: KeptMassOption = 0.6
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, help="Frames a second. Default: those of the video, or 25."),
    ] = None
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Most frames to read. Default: all.")
    ] = None
    animation: Annotated[Animation, typer.Option(help="Format of the animation.")] = Animation.WEBP
    shorter_px: ShorterOption = None
    max_patches: MaxPatchesOption = 6400


@prints
@options_of(VideoRequest)
def attention_video(request: VideoRequest) -> Output:
    """Draw what [cls] attends to in each frame of a video.

    Each frame is measured by itself, at its own size or at the size of --shorter-px. The folder
    gets a PNG file for each frame and one animation. Video files such as MP4 need PyAV or ffmpeg.

    Example: poise evaluate attention-video models:/photos-dino/1 frames/ video-attention
    """
    from poise.data.sources.frames import open_frames

    if request.out.is_dir() and any(request.out.iterdir()):
        raise PoiseError(f"{request.out}: is not empty; name a new folder for the frames")
    frames = open_frames(request.video)
    (model,) = open_transformers([request.model])
    count, shown, path = _draw(request, frames, model)

    def show() -> None:
        print(f"model     {request.model}")
        print(f"frames    {count} in {request.out}")
        print(f"animation {path}, {shown} frames")

    found = {"model": request.model, "out": str(request.out), "frames": count}
    found |= {"animation": str(path), "animation_frames": shown}
    return Output(lambda: found, [str(path)], show)


def _draw(request: VideoRequest, frames: "Frames", model: NamedModel) -> tuple[int, int, Path]:
    """Writes the frames and the animation.

    Returns:
        The number of frames, the number of frames in the animation, and the animation's path.
    """
    import torch

    from poise.evaluation.objects.attention_video import (
        VideoSettings,
        draw_frames,
        write_animation,
        write_frames,
    )
    from poise.evaluation.objects.overlap import AttentionMasks
    from poise.evaluation.reading.native import NativeSize

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    masks = AttentionMasks(model.backbone.to(device), request.kept_mass)
    size = NativeSize(masks.patch_px, request.max_patches, request.shorter_px)
    settings = VideoSettings(size, request.head, request.show.value)
    read = islice(frames.images, request.max_frames)
    drawn = draw_frames(masks, read, model.normalization, device, settings)
    written = write_frames(request.out, drawn)
    if not written:
        raise PoiseError(f"{request.video}: has no frames")
    path = request.out / f"attention.{request.animation.value}"
    frame_ms = 1000 / request.fps if request.fps else frames.frame_ms or 1000 / _DEFAULT_FPS
    return len(written), write_animation(path, written, frame_ms), path
