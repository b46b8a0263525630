"""Result of a run: its verdict, its pictures, and its registered backbone.

In: the ``Outcome`` of training. Out: a ``Finished``, which is also written to MLflow. Next:
``poise.sweeps`` compares many; the command line prints one.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from poise.config import Recipe
from poise.config.metrics import ATTENTION
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest
from poise.diagnostics.history import History, newest_metrics
from poise.diagnostics.judge import Verdict, VerdictKind, judge
from poise.evaluation import label_free
from poise.evaluation.neighbours import knn, ridge
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.tokens import probe as attention_probe
from poise.evaluation.tokens.maps import draw_attention
from poise.models.backbone import VitBackbone
from poise.models.package import load_backbone
from poise.runs.curves import draw_curves
from poise.tracking.ending import stopping_tags
from poise.tracking.metric_writer import verdict_tags
from poise.tracking.registry.versions import model_name, register_model
from poise.tracking.run import Run, log_files, log_json, set_tags
from poise.tracking.store import Store
from poise.training.collapse_stopper import CollapseStopper
from poise.training.loop import is_lost
from poise.training.schedule import Timetable
from poise.training.spec import BACKBONE_FOLDER, Outcome

_ATTENTION_IMAGES = 6

_PROTOCOLS = {
    "eval/knn_top1": knn.PROTOCOL,
    "eval/knn_top5": knn.PROTOCOL,
    "eval/linear_top1": ridge.PROTOCOL,
    "eval/rankme": label_free.RANKME_PROTOCOL,
    "eval/lidar": label_free.LIDAR_PROTOCOL,
    **dict.fromkeys(ATTENTION, attention_probe.PROTOCOL),
}


@dataclass(frozen=True)
class Finished:
    """Run that ended by itself."""

    run_id: str
    checkpoint: Path
    verdict: Verdict
    history: History = field(repr=False)
    stopped_by: str | None = None
    """Name of the stopper that ended the run early; None if it finished its plan or diverged."""

    @property
    def package(self) -> Path:
        """Folder of the backbone's package in the last checkpoint."""
        return self.checkpoint / BACKBONE_FOLDER

    @property
    def last_step(self) -> int:
        """Number of finished optimiser steps."""
        return self.history[-1][0]

    @property
    def is_healthy(self) -> bool:
        """Whether the verdict is healthy."""
        return self.verdict.kind is VerdictKind.HEALTHY

    @property
    def metrics(self) -> dict[str, float]:
        """Latest value of every metric."""
        return newest_metrics(self.history)


def judged(run_id: str, outcome: Outcome, recipe: Recipe, timetable: Timetable) -> Finished:
    """Adds the verdict and the reason for an early end to a finished run.

    Args:
        run_id: id of the run in MLflow.
        outcome: last checkpoint and history of the run.
        recipe: decides which signals are judged.
        timetable: planned and total steps of the run.
    """
    history = outcome.history
    verdict = judge(history, recipe.signals, timetable.planned_steps)
    early = history[-1][0] < timetable.total_steps
    diverged = is_lost(history[-1][1])  # a diverged run ends by itself, without a stopper
    stopped = early and recipe.training.stop_collapsed and not diverged
    by = CollapseStopper.name if stopped else None
    return Finished(run_id, outcome.checkpoint, verdict, history, by)


def log_finished(run: Run, finished: Finished, recipe: Recipe, total_steps: int) -> None:
    """Writes verdict, early end, curves and attention maps of a finished run to MLflow."""
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


def _draw_attention(path: Path, package: Path, recipe: Recipe) -> list[Path]:
    """Draws the attention and returns the picture's path.

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


def register_finished(
    store: Store, recipe: Recipe, finished: Finished, metric: str = "eval/knn_top1"
) -> str:
    """Registers a finished run's backbone, and returns ``models:/name/version``.

    Args:
        store: store that holds the run.
        recipe: recipe of the run.
        finished: finished run.
        metric: metric by which the run was chosen; its value becomes a tag.
    """
    measured: dict[str, object] = {}
    if metric in finished.metrics:
        measured = {"metric": metric, "metric_value": finished.metrics[metric]}
        if metric in _PROTOCOLS:
            measured["protocol"] = _PROTOCOLS[metric]
    dataset = Manifest.read(recipe.data.dataset).name
    name = model_name(dataset, recipe.objective.name, recipe.backbone.name)
    tags = {**measured, "verdict": finished.verdict.kind}
    return register_model(store, finished.package, name, finished.run_id, tags)
