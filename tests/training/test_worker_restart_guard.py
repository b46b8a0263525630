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


def answer_with(
    monkeypatch: pytest.MonkeyPatch, answer: SimpleNamespace | Exception | None
) -> list[str]:
    """Lets Ray answer so. Returns the list of actors that Ray is asked about."""
    asked: list[str] = []

    def get_actor(actor: str, timeout: int) -> SimpleNamespace | None:
        asked.append(actor)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(worker_restart_guard, "get_actor", get_actor)
    return asked


def test_no_workers_start_again_once_ray_has_ended_the_controller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guard = RestartGuard()
    asked = answer_with(monkeypatch, SimpleNamespace(state="DEAD"))
    guard.before_worker_group_start(None)
    assert asked == [], "the first start is not checked"
    with pytest.raises(ControllerEndedError):
        guard.before_worker_group_start(None)


@pytest.mark.parametrize(
    "answer",
    [
        SimpleNamespace(state="ALIVE"),
        None,
        RayStateApiException("no answer"),
        ConnectionError("no port"),
    ],
    ids=str,
)
def test_workers_start_again_while_the_controller_is_not_known_to_be_dead(
    answer: SimpleNamespace | Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = RestartGuard()
    asked = answer_with(monkeypatch, answer)
    for _ in range(3):
        guard.before_worker_group_start(None)
    assert asked == ["a1", "a1"]
