"""Decisions about the number of workers, without a cluster."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.train import (
    ControllerError,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    WorkerGroupError,
)
from ray.train.v2._internal.execution.failure_handling import FailureDecision
from ray.train.v2._internal.execution.scaling_policy import NoopDecision, ResizeDecision

from poise.config import PoiseError
from poise.config.locations import Location
from poise.training import worker_scaling
from poise.training.checkpoint import RUN_FILE, STATE_FILE
from poise.training.progress_watch import Pause
from poise.training.worker_failures import PatientFailurePolicy
from poise.training.worker_scaling import Elasticity, ElasticPolicy, lasting_trainer

Room = dict[str, dict[str, float]]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """CPUs that Ray has set aside on each node. All nodes answer."""
    found: Room = {"a": {"CPU": 2.0}, "b": {"CPU": 2.0}}
    monkeypatch.setattr(Pause, "every_s", 0.0)
    monkeypatch.setattr(worker_scaling, "nodes_that_answer", lambda: set(found))
    monkeypatch.setattr(ElasticPolicy, "_maybe_send_resource_request", lambda self: None)

    def reserved(policy: Any) -> Room:
        policy._latest_reserved_resources = found
        return found

    monkeypatch.setattr(ElasticPolicy, "_get_reserved_resources", reserved)
    return found


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def policy(tmp_path: Path, said: list[str]) -> ElasticPolicy:
    scaling = ScalingConfig(num_workers=(2, 8), elastic_resize_monitor_interval_s=0)
    return ElasticPolicy(scaling, Elasticity((2, 4, 8), Location.of(tmp_path), said.append))


def save_checkpoint(folder: Path, name: str) -> None:
    checkpoint = folder / name
    checkpoint.mkdir()
    for file in (RUN_FILE, STATE_FILE):
        (checkpoint / file).touch()


def started(policy: ElasticPolicy) -> int | None:
    decision: Any = policy.make_decision_for_non_running_worker_group()
    return int(decision.num_workers) if isinstance(decision, ResizeDecision) else None


def resized(policy: ElasticPolicy, workers: int) -> int | None:
    state: Any = SimpleNamespace(start_time=0.0, num_workers=workers)
    decision = policy.make_decision_for_running_worker_group(state, None)
    if isinstance(decision, NoopDecision):
        return None
    assert isinstance(decision, ResizeDecision)
    return int(decision.num_workers)


def test_it_takes_the_largest_number_that_divides_the_batch(
    policy: ElasticPolicy, room: Room
) -> None:
    assert started(policy) == 4
    room["c"] = {"CPU": 3.0}
    assert started(policy) == 4, "there is room for 7"
    room["c"] = {"CPU": 9.0}
    assert started(policy) == 8


def test_a_node_that_does_not_answer_does_not_count_though_ray_still_believes_in_it(
    policy: ElasticPolicy, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_scaling, "nodes_that_answer", lambda: {"b"})
    assert started(policy) == 2


def test_it_waits_for_the_smallest_number_and_says_so_once(
    policy: ElasticPolicy, room: Room, said: list[str]
) -> None:
    room.clear()
    assert [started(policy) for _ in range(3)] == [None, None, None]
    assert said == ["waits until the cluster has room for 2 workers"]
    room["c"] = {"CPU": 2.0}
    assert started(policy) == 2


def test_it_grows_after_the_next_checkpoint(
    policy: ElasticPolicy, room: Room, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path, "checkpoint_1")
    assert resized(policy, 4) is None
    room["c"] = {"CPU": 4.0}
    assert [resized(policy, 4) for _ in range(3)] == [None, None, None]
    save_checkpoint(tmp_path, "checkpoint_2")
    assert resized(policy, 4) == 8


def test_it_does_not_grow_if_the_room_is_gone_when_the_checkpoint_comes(
    policy: ElasticPolicy, room: Room, tmp_path: Path
) -> None:
    room["c"] = {"CPU": 4.0}
    assert resized(policy, 4) is None
    del room["c"]
    save_checkpoint(tmp_path, "checkpoint_1")
    assert resized(policy, 4) is None
    assert resized(policy, 4) is None


def lost(rank: int = 0, error: Exception | None = None) -> WorkerGroupError:
    return WorkerGroupError("lost", {rank: error or ConnectionError("gloo: closed")})


def test_failures_count_only_since_the_newest_checkpoint(tmp_path: Path) -> None:
    policy = PatientFailurePolicy(FailureConfig(max_failures=2), Location.of(tmp_path))
    decide: Callable[[], FailureDecision] = lambda: policy.make_decision(lost())  # noqa: E731
    assert [decide(), decide()] == [FailureDecision.RETRY] * 2
    save_checkpoint(tmp_path, "checkpoint_1")
    assert [decide(), decide(), decide()] == [
        FailureDecision.RETRY,
        FailureDecision.RETRY,
        FailureDecision.RAISE,
    ]


def test_an_error_that_the_user_must_fix_is_not_tried_again(tmp_path: Path) -> None:
    policy = PatientFailurePolicy(FailureConfig(max_failures=9), Location.of(tmp_path))
    decision = policy.make_decision(lost(error=PoiseError("sample 5 is damaged")))
    assert decision is FailureDecision.RAISE


def test_a_run_of_fixed_size_restarts_as_often_as_it_makes_progress(tmp_path: Path) -> None:
    # On spot nodes, the second node that a run lost in its whole life ended it.
    policy = PatientFailurePolicy(FailureConfig(max_failures=1), Location.of(tmp_path))
    for number in range(5):
        assert policy.make_decision(lost()) is FailureDecision.RETRY
        save_checkpoint(tmp_path, f"checkpoint_{number}")
    assert policy.make_decision(lost()) is FailureDecision.RETRY
    assert policy.make_decision(lost()) is FailureDecision.RAISE, "two deaths and no checkpoint"


@pytest.mark.parametrize("is_elastic", [False, True])
def test_every_run_gets_the_policy_that_counts_failures_since_the_newest_checkpoint(
    tmp_path: Path, is_elastic: bool
) -> None:
    class Trainer:
        scaling_config = ScalingConfig(num_workers=(2, 8))
        run_config = RunConfig(failure_config=FailureConfig(max_failures=1))

        def _initialize_and_run_controller(self, **parts: Any) -> dict[str, Any]:
            return parts

    folder = Location.of(tmp_path)
    elasticity = Elasticity((2, 4, 8), folder) if is_elastic else None
    trainer = lasting_trainer(Trainer, folder, elasticity)()
    parts = trainer._initialize_and_run_controller(failure_policy=None, scaling_policy=None)
    assert isinstance(parts["failure_policy"], PatientFailurePolicy)
    assert isinstance(parts["scaling_policy"], ElasticPolicy) == is_elastic


def test_a_storage_that_fails_for_the_controlling_process_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ray writes its list of checkpoints once. An error there ended the run, however short.
    # A look into the bucket would wait for a network.
    monkeypatch.setattr("poise.training.worker_failures.newest_or", lambda _, known: known)
    here = PatientFailurePolicy(FailureConfig(max_failures=1), Location.of(tmp_path))
    there = PatientFailurePolicy(FailureConfig(max_failures=1), Location.of("s3://bucket/run"))
    stale = OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    silent = OSError("AWS Error NETWORK_CONNECTION during PutObject: curlCode: 28")
    for policy, error in ((here, stale), (there, silent)):
        decisions = {policy.make_decision(ControllerError(error)) for _ in range(5)}
        assert decisions == {FailureDecision.RETRY}


def test_the_controlling_process_does_not_wait_for_pytorch() -> None:
    code = "import sys, poise.training.worker_failures; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_error_of_the_controlling_process_ends_the_run(tmp_path: Path) -> None:
    policy = PatientFailurePolicy(FailureConfig(max_failures=9), Location.of(tmp_path))
    for error in (PermissionError(errno.EACCES, "denied"), KeyError("a bug")):
        assert policy.make_decision(ControllerError(error)) is FailureDecision.RAISE
    assert policy.make_decision(lost()) is FailureDecision.RETRY, "as without this policy"
