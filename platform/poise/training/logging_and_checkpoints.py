"""Does the work beside training: verdicts, evaluations, logs, pictures and checkpoints.

In: the report of each logged step. Out: calls of all observers, and whether the run ends here.
Next: ``poise.training.worker``, which continues training or leaves the loop.
"""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch

from poise.config.disk import room_on_disk
from poise.config.metrics import group_before_training
from poise.diagnostics.history import Entry, History
from poise.diagnostics.judge import Verdict, VerdictKind, judge
from poise.training.checkpoint import save_checkpoint
from poise.training.collapse_stopper import CollapseStopper
from poise.training.loop import TrainingState, is_diverged
from poise.training.observer import FinishedStep, RunObserver
from poise.training.pictures import Showcase
from poise.training.schedule import Timetable
from poise.training.spec import BACKBONE_FOLDER, Probe, RunSpec

ToController = Callable[[dict[str, Any], Path | None], None]
"""Function that sends metrics to the run's controller, with the folder of a checkpoint if there is
one.
"""


@dataclass
class Watch:
    """Follows one run on one worker. Only worker rank 0 judges, evaluates and logs."""

    spec: RunSpec
    state: TrainingState
    timetable: Timetable
    history: list[Entry]
    """Metrics of every logged step so far. The list grows."""

    device: torch.device
    is_first: bool
    """Whether this is worker rank 0, which logs for the run."""

    to_controller: ToController
    observers: list[RunObserver] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.showcase = Showcase(self.spec.recipe, self.device)
        self.stopper = CollapseStopper(self.spec.recipe.training.stop_collapsed, self.device)
        # Kind of the last verdict that observers received. For an interrupted run it is unknown.
        self.told_kind = None if self.history else VerdictKind.UNDECIDED

    def __enter__(self) -> Self:
        self.observers = [make() for make in self.spec.observers] if self.is_first else []
        return self

    def __exit__(self, *reason: object) -> None:
        for observer in self.observers:
            observer.close()

    def has_ended(self) -> bool:
        """Returns True if no training is left, as after an interruption at the very end."""
        if self.state.step >= self.timetable.total_steps:
            return True
        judges = self.history and self.is_first
        return self.stopper.ends(self._verdict(self.history) if judges else None)

    def log_start(self) -> None:
        """Logs the probe's figures before any training, which later figures are compared with."""
        if self.state.step == 0 and self.is_first and self.spec.probe is not None:
            metrics = self._measured(self.spec.first_probe or self.spec.probe)
            group = group_before_training(self.spec.initial_weights is not None)
            first = {key.replace("eval", group, 1): value for key, value in metrics.items()}
            self._log(0, metrics | first)

    def at_boundary(self, report: FinishedStep) -> bool:
        """Judges, evaluates, logs and saves by the timetable. Returns True if the run ends."""
        step, metrics = report.step, dict(report.metrics)
        stopped = self._judge(step, metrics)
        ends = stopped or is_diverged(report) or step >= self.timetable.total_steps
        evaluates = self.spec.probe is not None and (ends or self.timetable.evaluates(step))
        shows = ends or self.timetable.shows(step)
        looks = self.is_first and self.told_kind is not VerdictKind.DIVERGED
        if evaluates and looks:
            metrics |= self._measured(self.spec.probe)
        self._log(step, metrics)
        if shows and looks:
            self._show(step)
        told = metrics | {"step": step, "ends": ends}
        if ends or self.timetable.checkpoints(step):
            self._commit(told)
        elif evaluates:
            self.to_controller(told, None)
        return ends

    def _judge(self, step: int, metrics: dict[str, float]) -> bool:
        """Sends observers a verdict of a new kind. Returns True if it ends the run."""
        verdict = self._verdict([*self.history, (step, metrics)]) if self.is_first else None
        if verdict is not None and verdict.kind is not self.told_kind:
            self.told_kind = verdict.kind
            for observer in self.observers:
                observer.judged(step, verdict)
        return self.stopper.ends(verdict)

    def _verdict(self, history: History) -> Verdict:
        return judge(history, self.spec.recipe.signals, self.timetable.planned_steps)

    def _measured(self, probe: Probe | None) -> dict[str, float]:
        assert probe is not None
        found = probe(self.state.objective.backbone, self.device)
        return {f"eval/{name}": value for name, value in found}

    def _log(self, step: int, metrics: dict[str, float]) -> None:
        self.history.append((step, metrics))
        for observer in self.observers:
            observer.log(step, metrics)

    def _show(self, step: int) -> None:
        if not self.observers:
            return
        for name, picture in self.showcase.pictures(self.state.objective).items():
            for observer in self.observers:
                observer.show(step, name, picture)

    def _commit(self, metrics: dict[str, Any]) -> None:
        if not self.is_first:
            self.to_controller(metrics, None)
            return
        for observer in self.observers:
            observer.flush()
        with self._room(), tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            recipe, datasets = self.spec.recipe, self.spec.datasets
            save_checkpoint(scratch, self.state, recipe, self.history, datasets)
            if self.spec.export is not None:
                self.spec.export(scratch / BACKBONE_FOLDER, self.state.objective.backbone)
            self.to_controller(metrics, scratch)

    def _room(self) -> AbstractContextManager[None]:
        """Adds to an error about a full disk which checkpoint is lost and which one is kept."""
        place = self.spec.storage / self.spec.name
        return room_on_disk(
            f"{place}: the checkpoint of step {self.state.step}",
            "the previous checkpoint is kept: free some space there and in the temporary folder "
            f"{tempfile.gettempdir()}, then continue with --resume",
        )
