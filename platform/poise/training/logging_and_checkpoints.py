"""Follows a run: computes verdicts and evaluations, logs, draws pictures and saves checkpoints.

In: the report of each logged step. Out: calls of all observers, and whether the run ends here.
Next: ``poise.training.on_worker``, which continues or ends training.
"""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch

from poise.cluster.collectives import decision_of_first
from poise.cluster.sharded_tensors import is_sharded
from poise.config.disk import room_on_disk
from poise.config.metrics import group_before_training
from poise.config.outages import is_outage, patiently
from poise.diagnostics.history import Entry, History
from poise.diagnostics.judge import Verdict, VerdictKind, judge
from poise.objectives.base import Objective
from poise.training.bottleneck import BottleneckWatch
from poise.training.checkpoint import save_checkpoint
from poise.training.checkpoint_pace import CheckpointPace
from poise.training.checkpoint_store import keep_last_good
from poise.training.collapse_stopper import CollapseStopper
from poise.training.elastic import attempt_sentence, is_elastic
from poise.training.loop import TrainingState, is_broken, is_diverged, is_lost
from poise.training.observer import FinishedStep, RunObserver
from poise.training.pictures import Showcase
from poise.training.sample_order_check import sample_order
from poise.training.schedule import Timetable
from poise.training.spec import BACKBONE_FOLDER, Probe, RunSpec

VERDICTS_PER_HISTORY = 100
"""A new verdict is made when the number of logged steps has grown by about 1 % (1 /
``VERDICTS_PER_HISTORY``).
"""

ToController = Callable[[dict[str, Any], Path | None], None]
"""Function that sends metrics to the process that controls the run. The second argument is the
folder of a new checkpoint, or None.
"""


@dataclass
class Watch:
    """Logs, evaluates and saves a run at its logged steps. Every worker has one object.

    Only worker rank 0 makes verdicts, evaluates and logs.
    """

    spec: RunSpec
    state: TrainingState
    timetable: Timetable
    history: list[Entry]
    """Metrics of all logged steps so far. New entries are appended."""

    device: torch.device
    is_first: bool
    """Whether this is worker rank 0."""

    to_controller: ToController
    observers: list[RunObserver] = field(default_factory=list)
    signs: Callable[[], None] = lambda: None
    """Function that is called after each part of an evaluation, as a sign of life."""

    def __post_init__(self) -> None:
        self.showcase = Showcase(self.spec.recipe, self.device)
        training = self.spec.recipe.training
        self.stopper = CollapseStopper(training.stop_collapsed, self.device)
        self.pace = CheckpointPace(training)
        self.bottleneck = BottleneckWatch(self.spec.recipe)
        self.sample_order: str | None = None
        self.saved_step: int | None = None
        # Kind of the last verdict that observers received. For an interrupted run it is unknown.
        self.told_kind = None if self.history else VerdictKind.UNDECIDED

    def __enter__(self) -> Self:
        self.observers = [make() for make in self.spec.observers] if self.is_first else []
        if self.is_first and self.spec.datasets:  # once: it reads the dataset's manifest
            self.sample_order = sample_order(self.spec.recipe)
        return self

    def __exit__(self, *reason: object) -> None:
        for observer in self.observers:
            observer.close()

    def note(self, topic: str, text: str) -> None:
        """Sends observers a sentence for the user."""
        for observer in self.observers:
            observer.note(self.state.step, topic, text)

    def has_ended(self) -> bool:
        """Returns True if no step is left to train.

        For example, the run was interrupted directly after its last step.
        """
        if self.state.step >= self.timetable.total_steps:
            return True
        judges = self.is_first and self.history and self._is_judged(self.history)
        return self.stopper.ends(self._verdict(self.history) if judges else None)

    def log_start(self) -> None:
        """Logs the number of workers of an elastic run.

        At step 0 it also evaluates and logs the network before any training.
        """
        if is_elastic(self.spec.recipe):
            self.note("workers", attempt_sentence(self.spec.recipe, self.state.attempts))
        if self.state.step > 0 or self.spec.probe is None:
            return
        objective = self._gathered_objective()
        if self.is_first:
            metrics = self._measured(self.spec.first_probe or self.spec.probe, objective)
            group = group_before_training(self.spec.initial_weights is not None)
            first = {key.replace("eval", group, 1): value for key, value in metrics.items()}
            self._log(0, metrics | first)

    def take_back(self, step: int, reason: str) -> None:
        """Saves a checkpoint, because this machine is taken away.

        The step need not be a logged step. All workers call this method at the same step. If the
        step has a checkpoint already, nothing is saved. If the run has diverged, nothing is saved
        either: its history does not show that yet, and the last good checkpoint would be replaced.
        """
        if self.saved_step == step:
            return
        self.state.meter.share()
        if is_broken(self.state):
            self.note("not_saved", f"step {step} is not saved: its loss or weights are not finite")
            return
        self._commit({"step": step, "ends": False, "taken_back": reason})

    def at_boundary(self, report: FinishedStep) -> bool:
        """Does everything that the timetable plans for a logged step.

        Returns True if the run ends.
        """
        step, metrics = report.step, dict(report.metrics)
        stopped = self._judge(step, metrics)
        ends = stopped or is_diverged(report) or step >= self.timetable.total_steps
        evaluates = self.spec.probe is not None and (ends or self.timetable.evaluates(step))
        shows = ends or self.timetable.shows(step)
        looks = self.is_first and self.told_kind is not VerdictKind.DIVERGED
        objective = self._gathered_objective() if evaluates or shows else None
        if evaluates and looks:
            metrics |= self._measured(self.spec.probe, objective)
        self._log(step, metrics)
        if self.is_first and (slow := self.bottleneck.sentence(step, metrics)):
            self.note("bottleneck", slow)
        if shows and looks:
            self._show(step, objective)
        del objective  # a whole copy, if the run is sharded
        told = metrics | {"step": step, "ends": ends}
        if ends or self._saves(step):
            self._commit(told)
        elif evaluates:
            self.to_controller(told, None)
        return ends

    def _judge(self, step: int, metrics: dict[str, float]) -> bool:
        """Sends the verdict to observers if its kind has changed.

        Returns True if it ends the run.
        """
        history = [*self.history, (step, metrics)]
        judges = self.is_first and self._is_judged(history)
        verdict = self._verdict(history) if judges else None
        if verdict is not None and verdict.kind is not self.told_kind:
            self.told_kind = verdict.kind
            for observer in self.observers:
                observer.judged(step, verdict)
        return self.stopper.ends(verdict)

    def _is_judged(self, history: History) -> bool:
        """Returns True if a verdict is due at the last entry of the history.

        A verdict reads the whole history. With a longer history, more logged steps pass between two
        verdicts. So the mean cost per step does not grow. The decision depends on the history
        alone. So a resumed run gets verdicts at the same steps as an uninterrupted run.
        """
        step, metrics = history[-1]
        must = self.timetable.shows(step) or is_lost(metrics)  # a lost network is not measured
        return must or len(history) % max(1, len(history) // VERDICTS_PER_HISTORY) == 0

    def _saves(self, step: int) -> bool:
        """Returns True if a checkpoint is due, by steps or by time.

        The result is equal on all workers.
        """
        if self.timetable.checkpoints(step) or not self.pace.reads_clock:
            return self.timetable.checkpoints(step)
        return decision_of_first(self.is_first and self.pace.is_due(), self.device)

    def _verdict(self, history: History) -> Verdict:
        return judge(history, self.spec.recipe.signals, self.timetable.planned_steps)

    def _gathered_objective(self) -> Objective | None:
        """Returns the unsharded objective on worker rank 0.

        All workers must call this at the same steps.
        """
        if not is_sharded(self.state.objective.parameters()):
            return self.state.objective
        from poise.training.sharded_state import gathered_objective

        return gathered_objective(self.state.objective, self.spec.recipe, self.is_first)

    def _gathered_state(self) -> TrainingState | None:
        """Returns the unsharded state on worker rank 0.

        All workers must call this at the same steps.
        """
        if not is_sharded(self.state.objective.parameters()):
            return self.state
        from poise.training.sharded_state import gathered

        return gathered(self.state, self.spec.recipe, self.is_first)

    def _measured(self, probe: Probe | None, objective: Objective | None) -> dict[str, float]:
        assert probe is not None and objective is not None
        backbone = objective.backbone.to(self.device)

        def measure() -> list[tuple[str, float]]:
            return list(probe(backbone, self.device, lambda _: self.signs()))

        what = f"run {self.spec.name}: evaluating step {self.state.step}"
        found = patiently(measure, what, self.spec.patience_s, is_outage)
        return {f"eval/{name}": value for name, value in found}

    def _log(self, step: int, metrics: dict[str, float]) -> None:
        self.history.append((step, metrics))
        for observer in self.observers:
            observer.log(step, metrics)

    def _show(self, step: int, objective: Objective | None) -> None:
        if not self.observers or objective is None:
            return
        if type(objective).pictures is not Objective.pictures:
            objective.trainable.to(self.device)  # a copy of a sharded objective is on the CPU
        draw = partial(self.showcase.pictures, objective)
        what = f"run {self.spec.name}: drawing step {step}"
        for name, picture in patiently(draw, what, self.spec.patience_s, is_outage).items():
            for observer in self.observers:
                observer.show(step, name, picture)

    def _commit(self, metrics: dict[str, Any]) -> None:
        self.saved_step = self.state.step
        if not self.is_first:
            self._gathered_state()
            self.to_controller(metrics, None)
            return
        with self.pace.saving():
            for observer in self.observers:
                observer.flush()
            state = self._gathered_state()
            assert state is not None
            self._save(metrics, state)

    def _save(self, metrics: dict[str, Any], state: TrainingState) -> None:
        spec, patience_s = self.spec, self.spec.patience_s
        what = f"run {spec.name}: writing the checkpoint of step {self.state.step}"
        with self._room():
            if is_lost(metrics) and spec.recipe.training.keep_checkpoints == 1:
                last_good = partial(keep_last_good, spec.storage / spec.name)
                patiently(last_good, f"run {spec.name}: keeping the last checkpoint", patience_s)
            with patiently(partial(self._written, state), what, patience_s) as folder:
                self.to_controller(metrics, Path(folder))

    def _written(self, state: TrainingState) -> "tempfile.TemporaryDirectory[str]":
        """Writes a checkpoint into a new temporary folder."""
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        try:
            spec, path, order = self.spec, Path(folder.name), self.sample_order
            save_checkpoint(path, state, spec.recipe, self.history, spec.datasets, order)
            if spec.export is not None:
                spec.export(path / BACKBONE_FOLDER, state.objective.backbone)
        except BaseException:
            folder.cleanup()
            raise
        return folder

    def _room(self) -> AbstractContextManager[None]:
        """Explains errors about a full disk: which checkpoint is lost, and which is kept."""
        place = self.spec.storage / self.spec.name
        return room_on_disk(
            f"{place}: the checkpoint of step {self.state.step}",
            "the previous checkpoint is kept: free some space there and in the temporary folder "
            f"{tempfile.gettempdir()}, then continue with --resume",
        )
