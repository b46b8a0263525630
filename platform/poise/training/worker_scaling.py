"""Chooses the number of workers of an elastic run, in the process that controls the run.

In: the allowed numbers of workers, and the cluster's nodes. Out: decisions for Ray Train, and a
trainer that follows them. Next: ``poise.training.worker``, which trains with this trainer.

Ray's policy starts as many workers as fit, and its information about nodes can be 20 s old. The
policy here differs in three points. Only some numbers of workers are allowed. Nodes that do not
answer are ignored. New workers are added right after a checkpoint, so that few steps are repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.train.v2._internal.execution.scaling_policy import (
    ElasticScalingPolicy,
    NoopDecision,
    ResizeDecision,
    ScalingDecision,
)

from poise.cluster.nodes import nodes_that_answer
from poise.config.locations import Location
from poise.training.elastic import largest_world_size
from poise.training.progress_watch import Pause, newest_or
from poise.training.worker_failures import PatientFailurePolicy


@dataclass(frozen=True)
class Elasticity:
    """Data of one run that its policies need to change the number of workers."""

    sizes: tuple[int, ...]
    """Numbers of workers that the run may have, in ascending order."""

    folder: Location
    """Folder of the run's checkpoints."""

    say: Callable[[str], None] | None = None
    """Function that shows one line to the user, from any process."""


class ElasticPolicy(ElasticScalingPolicy):  # type: ignore[misc]
    """Scaling policy. It starts as many workers as are allowed and fit on the running nodes."""

    def __init__(self, scaling_config: Any, elasticity: Elasticity) -> None:
        super().__init__(scaling_config)
        self._elasticity = elasticity
        self._seen: Location | None = None
        self._wants_more = self._told_that_it_waits = False
        self._for_nodes, self._for_checkpoints = Pause(), Pause()
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
            self._seen = newest_or(self._elasticity.folder, self._seen)
            self._wants_more = True
            return NoopDecision()
        return decision

    def _has_new_checkpoint(self) -> bool:
        looks = self._for_checkpoints.is_over()
        return looks and newest_or(self._elasticity.folder, self._seen) != self._seen


def lasting_trainer(trainer_class: Any, folder: Location, elasticity: Elasticity | None) -> Any:
    """Returns a trainer class whose controller uses the policies of Poise.

    Ray Train has no public interface for this. ``tests/test_library_internals.py`` checks the
    internals that are used.

    Args:
        trainer_class: trainer of Ray Train.
        folder: folder of the run's checkpoints.
        elasticity: data of an elastic run; None keeps the number of workers.
    """

    class LastingTrainer(trainer_class):  # type: ignore[misc]
        def _initialize_and_run_controller(self, **parts: Any) -> Any:
            failures = self.run_config.failure_config
            parts["failure_policy"] = PatientFailurePolicy(failures, folder)
            if elasticity is not None:
                parts["scaling_policy"] = ElasticPolicy(self.scaling_config, elasticity)
            return super()._initialize_and_run_controller(**parts)

    return LastingTrainer
