"""`poise evaluate video`: objects followed through videos by the similarity of patches.

In: models and a prepared dataset of sequences with masks. Out: figures, strips and animations.
Nothing comes after it.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of


@dataclass(frozen=True)
class VideoOptions(EvaluationOptions):
    """Arguments and options of `poise evaluate video`."""

    shorter_px: Annotated[
        int | None,
        typer.Option(
            min=8,
            help="Length of a frame's shorter side in pixels. Default: 480, or its own if shorter.",
        ),
    ] = None


@options_of(VideoOptions)
def video(options: VideoOptions) -> None:
    """Follow objects through videos from their first mask (protocol video/davis-dino-v1).

    Nothing is trained: each patch takes its label from similar patches of earlier frames. The
    figures are region and boundary accuracy (J, F and their mean) as on DAVIS 2017, beside those
    of a copy of the first mask.

    Example: poise evaluate video models:/shapes-dino/1 data/davis-val
    """
    from poise.evaluation.video.report import report_video

    evaluate_models(
        Evaluation("video", partial(report_video, shorter_px=options.shorter_px)), options
    )
