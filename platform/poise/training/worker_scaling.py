"""Chooses the number of workers of an elastic run, in the process that controls the run.

In: the allowed numbers of workers, and the cluster's nodes. Out: decisions for Ray Train. Next:
``poise.training.worker``, which gives these policies to the trainer.

Ray's policy starts as many workers as fit, and its information about nodes can be 20 s old. The
policies here differ in three points. Only some numbers of workers are allowed. Nodes that do not
answer are ignored. New workers are added right after a checkpoint, so that few steps are repeated.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.train.v2._internal.execution.failure_handling import DefaultFailurePolicy, FailureDecision
from ray.train.v2._internal.execution.scaling_policy import (
    ElasticScalingPolicy,
    NoopDecision,
    ResizeDecision,
    ScalingDecision,
)

from poise.cluster.nodes import nodes_that_answer
from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.training.checkpoint import newest_checkpoint
from poise.training.elastic import largest_world_size

_LOOK_EVERY_S = 1.0
"""Time in seconds between two checks of the nodes or checkpoints. Ray asks for decisions many times
a second.
"""


@dataclass(frozen=True)
class Elasticity:
    """Data of one run that its policies need to change the number of workers."""

    sizes: tuple[int, ...]
    """Numbers of workers that the run may have, in ascending order."""

    folder: Location
    """Folder of the run's checkpoints."""

    say: Callable[[str], None] | None = None
    """Function that shows one line to the user, from any process."""


class _Pause:
    """Timer that limits how often something is checked."""

    def __init__(self) -> None:
        self._last_s = float("-inf")

    def is_over(self) -> bool:
        """Returns True if the next check is due, and restarts the timer."""
        over = time.monotonic() - self._last_s >= _LOOK_EVERY_S
        self._last_s = time.monotonic() if over else self._last_s
        return over


class ElasticPolicy(ElasticScalingPolicy):  # type: ignore[misc]
    """Scaling policy. It starts as many workers as are allowed and fit on the running nodes."""

    def __init__(self, scaling_config: Any, elasticity: Elasticity) -> None:
        super().__init__(scaling_config)
        self._elasticity = elasticity
        self._seen: Location | None = None
        self._wants_more = self._told_that_it_waits = False
        self._for_nodes, self._for_checkpoints = _Pause(), _Pause()
        self._answering: set[str] = set()

    def _count_possible_workers(self, reserved_resources: Any) -> int:
        if self._for_nodes.is_over():
            self._answering = nodes_that_answer()
        there = {node: what for node, what in reserved_resources.items() if node in self._answering}
        return largest_world_size(self._elasticity.sizes, super()._count_possible_workers(there))

    def make_decision_for_non_running_worker_group(self) -> ScalingDecision:
        """Starts the largest allowed number of workers that fits. Prints a message if none fits."""
        decision = super().make_decision_for_non_running_worker_group()
        waits = isinstance(decision, NoopDecision) and self._latest_reserved_resources is not None
        if waits and not self._told_that_it_waits and self._elasticity.say is not None:
            least = self._elasticity.sizes[0]
            self._elasticity.say(f"waits until the cluster has room for {least} workers")
        self._told_that_it_waits, self._wants_more = waits, False
        return decision

    def make_decision_for_running_worker_group(
        self, worker_group_state: Any, worker_group_status: Any
    ) -> ScalingDecision:
        """Adds workers if more fit on the cluster and there is a new checkpoint."""
        if self._wants_more and not self._has_new_checkpoint():
            return NoopDecision()
        if self._wants_more:
            self._latest_monitor_time = float("-inf")  # decides now, with the present resources
        decision = super().make_decision_for_running_worker_group(
            worker_group_state, worker_group_status
        )
        had_to_wait, self._wants_more = self._wants_more, False
        if isinstance(decision, ResizeDecision) and not had_to_wait:
            self._seen = _newest(self._elasticity.folder, self._seen)
            self._wants_more = True
            return NoopDecision()
        return decision

    def _has_new_checkpoint(self) -> bool:
        looks = self._for_checkpoints.is_over()
        return looks and _newest(self._elasticity.folder, self._seen) != self._seen


class PatientFailurePolicy(DefaultFailurePolicy):  # type: ignore[misc]
    """Failure policy that counts only failures since the newest checkpoint.

    An elastic run may lose workers every hour for days. An error that the user must fix ends the
    run.
    """

    def __init__(self, failure_config: Any, folder: Location) -> None:
        super().__init__(failure_config)
        self._folder = folder
        self._newest: Location | None = None

    def make_decision(self, training_failed_error: Any) -> FailureDecision:
        """Decides whether to restart the workers or to end the run."""
        failures = getattr(training_failed_error, "worker_failures", None) or {}
        if any(isinstance(_inner(each), PoiseError) for each in failures.values()):
            return FailureDecision.RAISE
        newest = _newest(self._folder, self._newest)
        if newest != self._newest:
            self._newest, self._worker_group_failures = newest, 0
        decision: FailureDecision = super().make_decision(training_failed_error)
        return decision


def _newest(folder: Location, known: Location | None) -> Location | None:
    """Returns the newest checkpoint; returns ``known`` if the storage does not answer now."""
    try:
        return newest_checkpoint(folder)
    except (OSError, PoiseError):
        return known


def _inner(error: BaseException) -> BaseException:
    return getattr(error, "_base_exc", None) or getattr(error, "cause", None) or error


def elastic_trainer(trainer_class: Any, elasticity: Elasticity) -> Any:
    """Returns a trainer class whose controller uses the policies of this module.

    Ray Train has no public interface for this. ``tests/test_library_internals.py`` checks the
    internals that are used.
    """

    class ElasticTrainer(trainer_class):  # type: ignore[misc]
        def _initialize_and_run_controller(self, **parts: Any) -> Any:
            parts["scaling_policy"] = ElasticPolicy(self.scaling_config, elasticity)
            failures = self.run_config.failure_config
            parts["failure_policy"] = PatientFailurePolicy(failures, elasticity.folder)
            return super()._initialize_and_run_controller(**parts)

    return ElasticTrainer
