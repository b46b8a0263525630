"""Decides whether a run restarts after it has lost workers, in the process that controls the run.

In: an error of Ray Train, and the run's checkpoints. Out: a decision for Ray Train. Next:
``poise.training.worker_scaling``, which gives this policy to the trainer.

The process that controls the run imports this file, so it must not import PyTorch.
"""

from typing import Any

from ray.train.v2._internal.execution.failure_handling import DefaultFailurePolicy, FailureDecision

from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.outages import is_outage
from poise.training.progress_watch import newest_or


class PatientFailurePolicy(DefaultFailurePolicy):  # type: ignore[misc]
    """Failure policy that counts only failures since the newest checkpoint.

    On spot nodes, a run may lose workers every hour for days. An error that the user must fix ends
    the run. If the controlling process cannot use the storage for a while, the workers restart: it
    writes the list of checkpoints after each checkpoint, and Ray would end the run. The restarted
    workers continue from that checkpoint, and the list is written again after the next one.
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
        newest = newest_or(self._folder, self._newest)
        if newest != self._newest:
            self._newest, self._worker_group_failures = newest, 0
        decision: FailureDecision = super().make_decision(training_failed_error)
        return decision

    def _is_retryable_error(self, training_failed_error: Any) -> bool:
        cause = getattr(training_failed_error, "controller_failure", None)
        if cause is not None and is_outage(self._folder.recognised(cause) or cause):
            return True
        return bool(super()._is_retryable_error(training_failed_error))


def _inner(error: BaseException) -> BaseException:
    return getattr(error, "_base_exc", None) or getattr(error, "cause", None) or error
