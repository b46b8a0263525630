"""Keeps a controller that Ray has ended from asking for resources again.

In: a restart of a run's workers. Out: an error in a controller that is already dead for Ray. Next:
Ray, which ends that controller a moment later.

When Tune ends a trial, Ray marks the controller of the trial's run as dead and kills it, and kills
its workers. The workers may die some tenths of a second before the controller, which then takes
them for lost and asks for resources for new ones. Nobody would give these resources back before the
study's end: Ray forgets what a dead actor asked for, and Ray Train's own cleaner hears of resources
only when workers have started. Later trials would wait for them, in the worst case forever.
"""

import logging
from typing import Any

import ray
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.util.state import get_actor

_ANSWER_WITHIN_S = 10
"""Time in seconds that Ray may take to tell whether the controller lives."""

logger = logging.getLogger(__name__)


class ControllerEndedError(RuntimeError):
    """Ray has ended this controller, and its process has not noticed yet."""


class RestartGuard(WorkerGroupCallback):  # type: ignore[misc]
    """Callback of Ray Train that is called before workers start. The first start is not checked."""

    def __init__(self) -> None:
        self._has_started = False

    def before_worker_group_start(self, worker_group_context: Any) -> None:
        """Raises an error if this process is a controller that Ray has ended.

        Raises:
            ControllerEndedError: the controller's actor is dead.
        """
        if self._has_started and not _is_alive(ray.get_runtime_context().get_actor_id()):
            raise ControllerEndedError("Ray has ended this run; its workers do not start again")
        self._has_started = True


def _is_alive(actor: str | None) -> bool:
    """Returns False only if Ray says that the actor is dead."""
    if actor is None:
        return True
    try:
        state = get_actor(actor, timeout=_ANSWER_WITHIN_S)
    except Exception as error:  # whatever fails here, the run goes on as without this guard
        logger.debug("Ray does not say whether this controller lives: %s", error)
        return True
    return state is None or state.state != "DEAD"
