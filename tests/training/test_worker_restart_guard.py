"""A controller that Ray has ended starts no workers."""

from types import SimpleNamespace

import pytest
from ray.util.state.exception import RayStateApiException

from poise.training import worker_restart_guard
from poise.training.worker_restart_guard import ControllerEndedError, RestartGuard


@pytest.fixture(autouse=True)
def _in_an_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(get_actor_id=lambda: "a1")
    monkeypatch.setattr("ray.get_runtime_context", lambda: context)


def answer_with(monkeypatch: pytest.MonkeyPatch, state: str | None) -> None:
    answer = None if state is None else SimpleNamespace(state=state)
    monkeypatch.setattr(worker_restart_guard, "get_actor", lambda actor, timeout: answer)


def test_no_workers_start_again_once_ray_has_ended_the_controller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guard = RestartGuard()
    answer_with(monkeypatch, "DEAD")
    guard.before_worker_group_start(None)  # the first start; Ray is not asked
    with pytest.raises(ControllerEndedError):
        guard.before_worker_group_start(None)


@pytest.mark.parametrize("state", ["ALIVE", None])
def test_workers_start_again_while_the_controller_is_not_known_to_be_dead(
    state: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = RestartGuard()
    answer_with(monkeypatch, state)
    for _ in range(3):
        guard.before_worker_group_start(None)


@pytest.mark.parametrize("error", [RayStateApiException("no answer"), ConnectionError("no port")])
def test_workers_start_again_where_ray_does_not_answer(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(actor: str, timeout: int) -> None:
        raise error

    guard = RestartGuard()
    monkeypatch.setattr(worker_restart_guard, "get_actor", silent)
    for _ in range(2):
        guard.before_worker_group_start(None)
