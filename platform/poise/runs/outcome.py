"""Result of a finished run: its last checkpoint, metrics, verdict and pictures.

In: the ``Outcome`` of training. Out: a ``Finished``, which is also written to MLflow. Next:
``poise.runs.registration`` registers its backbone, and ``poise.sweeps`` compares many of them.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from poise.config import Recipe
from poise.config.locations import Location
from poise.data.dataset import ImageDataset
from poise.diagnostics.history import History, newest_metrics
from poise.diagnostics.judge import Verdict, VerdictKind, judge
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.tokens.maps import draw_attention
from poise.models.backbone import VitBackbone
from poise.models.package import load_backbone
from poise.runs.curves import draw_curves
from poise.tracking.ending import stopping_tags
from poise.tracking.run import Run, log_files, log_json, set_tags
from poise.tracking.run_writer import verdict_tags
from poise.training.collapse_stopper import CollapseStopper
from poise.training.loop import is_lost
from poise.training.schedule import Timetable
from poise.training.spec import BACKBONE_FOLDER, Outcome

_ATTENTION_IMAGES = 6


@dataclass(frozen=True)
class Finished:
    """Run that has ended, with its last checkpoint, verdict and metrics."""

    run_id: str
    checkpoint: Location
    verdict: Verdict
    history: History = field(repr=False)
    stopped_by: str | None = None
    """Name of the rule that stopped the run early, or None if it finished its plan or diverged."""

    @property
    def package(self) -> Location:
        """Folder of the backbone's package in the last checkpoint."""
        return self.checkpoint / BACKBONE_FOLDER

    @property
    def last_step(self) -> int:
        """Number of finished optimiser steps."""
        return self.history[-1][0]

    @property
    def is_healthy(self) -> bool:
        """True if the verdict is healthy."""
        return self.verdict.kind is VerdictKind.HEALTHY

    @property
    def metrics(self) -> dict[str, float]:
        """Maps the name of every metric to its latest value."""
        return newest_metrics(self.history)


def judged(run_id: str, outcome: Outcome, recipe: Recipe, timetable: Timetable) -> Finished:
    """Makes a ``Finished`` from the outcome of training.

    Adds the verdict, and the name of the rule that stopped the run early.

    Args:
        run_id: id of the run in MLflow.
        outcome: last checkpoint and history of the run.
        recipe: recipe of the run. It decides which signals of collapse are judged.
        timetable: numbers of planned steps and of steps to train.
    """
    history = outcome.history
    verdict = judge(history, recipe.signals, timetable.planned_steps)
    early = history[-1][0] < timetable.total_steps
    diverged = is_lost(history[-1][1])  # a diverged run ends by itself, without a stopper
    stopped = early and recipe.training.stop_collapsed and not diverged
    by = CollapseStopper.name if stopped else None
    return Finished(run_id, outcome.checkpoint, verdict, history, by)


def log_finished(run: Run, finished: Finished, recipe: Recipe, total_steps: int) -> None:
    """Writes the results of a finished run to MLflow.

    These are the verdict, the reason for an early end, the curves and the attention maps.
    """
    verdict, step = finished.verdict, finished.last_step
    set_tags(run, verdict_tags(step, verdict))
    if finished.stopped_by is not None:
        set_tags(run, stopping_tags(finished.stopped_by, step, total_steps, verdict.evidence))
    log_json(run, asdict(verdict), "verdict.json")
    with TemporaryDirectory() as scratch:
        curves = Path(scratch) / "curves.png"
        draw_curves(curves, {recipe.name: finished.history}, {recipe.name: verdict.onset_step})
        attention = _draw_attention(Path(scratch) / "attention.png", finished.package, recipe)
        log_files(run, [curves, *attention], "pictures")


def _draw_attention(path: Path, package: Location, recipe: Recipe) -> list[Path]:
    """Draws attention maps of some images and returns the path of the picture.

    The list is empty if the backbone has no attention.
    """
    backbone, config = load_backbone(package)
    if not isinstance(backbone, VitBackbone):
        return []
    dataset, px = ImageDataset.open(recipe.data.dataset), recipe.evaluation_px
    shown = EvaluationImages(dataset, px, _ATTENTION_IMAGES)
    images, _ = next(shown.batches(_ATTENTION_IMAGES))
    mean_and_std = config["normalization"]["mean"], config["normalization"]["std"]
    draw_attention(path, backbone, images, mean_and_std, torch.device("cpu"))
    return [path]
