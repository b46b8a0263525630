"""One tracked pretraining, from recipe to verdict: where training, probes and MLflow meet.

In: a recipe and its run. Out: a ``Finished`` with verdict, metrics and the backbone's package; all
of it is in the run as well. Next: ``poise.sweeps``, which carries out many.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from poise.config import Recipe
from poise.config.metrics import ATTENTION
from poise.config.paths import home
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest
from poise.data.views.photometry import normalization
from poise.diagnostics.history import History, newest_metrics
from poise.diagnostics.judge import Verdict, judge
from poise.evaluation import label_free
from poise.evaluation.during_training import online_probes
from poise.evaluation.neighbours import knn, ridge
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.tokens import probe as attention_probe
from poise.evaluation.tokens.maps import draw_attention
from poise.models.backbone import VitBackbone
from poise.models.package import load_backbone, save_backbone
from poise.runs.curves import draw_curves
from poise.tracking.datasets import dataset_tags
from poise.tracking.ending import stopping_tags
from poise.tracking.registry.versions import model_name, register_model
from poise.tracking.run import Run, log_environment, log_files, log_json, log_recipe, set_tags
from poise.tracking.store import Store
from poise.tracking.writer import verdict_tags
from poise.training.collapse_stopper import CollapseStopper
from poise.training.job import BACKBONE_FOLDER, Job, Origin, Outcome
from poise.training.loop import is_lost
from poise.training.report import RunObserver
from poise.training.schedule import Timetable, timetable_of
from poise.training.worker import fit

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
    """A run that ended by itself."""

    run_id: str
    checkpoint: Path
    verdict: Verdict
    history: History = field(repr=False)
    stopped_by: str | None = None
    """What ended it early; none where it trained to its end, or diverged by itself."""

    @property
    def package(self) -> Path:
        """The backbone's package in the last checkpoint."""
        return self.checkpoint / BACKBONE_FOLDER

    @property
    def metrics(self) -> dict[str, float]:
        """The newest value of every metric."""
        return newest_metrics(self.history)


def pretrain(
    recipe: Recipe,
    run: Run,
    name: str,
    observers: Sequence[Callable[[], RunObserver]] = (),
    callbacks: Sequence[Any] = (),
    origin: Origin | None = None,
    lineage: Mapping[str, Any] | None = None,
) -> Finished:
    """Trains, tracks and judges one run. The same name again finishes an interrupted one.

    Args:
        recipe: the run's.
        run: in MLflow; its status is the caller's to set.
        name: of the run's folder under ``home()``.
        observers: further ones, beside the metric writer.
        callbacks: Ray Train's.
        origin: another run's checkpoint to begin with.
        lineage: what the backbone's package shall say beside what every one does.
    """
    manifest = Manifest.read(recipe.data.dataset)
    log_recipe(run, recipe, dataset_tags(recipe))
    log_environment(run)
    config = package_config(recipe, manifest, run.run_id)
    config["lineage"] |= lineage or {}
    outcome = fit(
        Job(
            recipe=recipe,
            name=name,
            storage=home(),
            observers=[run.open_writer, *observers],
            probe=online_probes(recipe),
            export=partial(_export, config),
            callbacks=callbacks,
            origin=origin,
        )
    )
    timetable = timetable_of(recipe)
    finished = judged(run.run_id, outcome, recipe, timetable)
    _log_outcome(run, finished, recipe, timetable.total_steps)
    return finished


def judged(run_id: str, outcome: Outcome, recipe: Recipe, timetable: Timetable) -> Finished:
    """A run that ended, with the verdict on it and what ended it."""
    history = outcome.history
    verdict = judge(history, recipe.signals, timetable.planned_steps)
    early = history[-1][0] < timetable.total_steps
    lost = is_lost(history[-1][1])  # ends a run by itself, whoever watches it
    stopped = early and recipe.training.stop_collapsed and not lost
    by = CollapseStopper.name if stopped else None
    return Finished(run_id, outcome.checkpoint, verdict, history, by)


def package_config(recipe: Recipe, manifest: Manifest, run_id: str) -> dict[str, Any]:
    """What a backbone's package says of itself."""
    mean, std = normalization(recipe.data.views, manifest)
    return {
        "backbone": recipe.backbone.model_dump(mode="json"),
        "image_px": recipe.data.views.global_px,
        "evaluation_px": recipe.evaluation_px,
        "normalization": {"mean": list(mean), "std": list(std)},
        "lineage": {
            "run_id": run_id,
            "recipe": recipe.name,
            "objective": recipe.objective.name,
            "dataset": str(Path(recipe.data.dataset).absolute()),
            "dataset_name": manifest.name,
            "dataset_fingerprint": manifest.fingerprint,
        },
    }


def _export(config: dict[str, Any], backbone: nn.Module, folder: Path) -> None:
    save_backbone(folder, backbone, config)


def _log_outcome(run: Run, finished: Finished, recipe: Recipe, total_steps: int) -> None:
    verdict, step = finished.verdict, finished.history[-1][0]
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
    """The picture in a list, which is empty where the backbone has no attention."""
    backbone, config = load_backbone(package)
    if not isinstance(backbone, VitBackbone):
        return []
    dataset = ImageDataset.open(recipe.data.dataset)
    images, _ = next(
        EvaluationImages(dataset, recipe.evaluation_px, _ATTENTION_IMAGES).batches(
            _ATTENTION_IMAGES
        )
    )
    mean_and_std = config["normalization"]["mean"], config["normalization"]["std"]
    draw_attention(path, backbone, images, mean_and_std, torch.device("cpu"))
    return [path]


def register_finished(
    store: Store, recipe: Recipe, finished: Finished, metric: str = "eval/knn_top1"
) -> str:
    """Registers a finished run's backbone; returns ``models:/name/version``.

    Args:
        store: where the run is.
        recipe: the run's.
        finished: the run.
        metric: what it was chosen by; its value becomes a tag.
    """
    measured = (
        {"metric": metric, "metric_value": finished.metrics[metric]}
        | ({"protocol": _PROTOCOLS[metric]} if metric in _PROTOCOLS else {})
        if metric in finished.metrics
        else {}
    )
    dataset = Manifest.read(recipe.data.dataset).name
    name = model_name(dataset, recipe.objective.name, recipe.backbone.name)
    tags = {**measured, "verdict": finished.verdict.kind}
    return register_model(store, finished.package, name, finished.run_id, tags)
