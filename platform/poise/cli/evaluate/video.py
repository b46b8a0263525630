"""`poise evaluate video`: follows objects through videos by the similarity of patches.

In: models and a prepared dataset of sequences with masks. Out: values, pictures and animations.
Next: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints

if TYPE_CHECKING:
    from poise.evaluation.report import EvaluationReport, EvaluationTask


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


@prints
@options_of(VideoOptions)
def video(options: VideoOptions) -> Output:
    """Follow objects through videos from their first mask (protocol video/davis-dino-v1).

    Nothing is trained. Each patch gets its label from similar patches in earlier frames. The
    metrics are region and boundary accuracy (J, F and their mean), as on DAVIS 2017. For
    comparison, the same metrics are measured for a copy of the first mask in every frame.

    Example: poise evaluate video models:/shapes-dino/1 data/davis-val
    """
    from poise.evaluation.video.report import report_video

    measure = partial(report_video, shorter_px=options.shorter_px)
    return evaluate_models(replace(VIDEO, measure=measure), options)


def _measure(task: EvaluationTask) -> EvaluationReport:
    from poise.evaluation.video.report import report_video

    return report_video(task)


VIDEO = Evaluation("video", _measure, reads_patches=True)
"""Evaluation of this command. `poise evaluate all` also uses it."""
