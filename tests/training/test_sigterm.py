"""SIGTERM with notice: a checkpoint after the next step, and the same step on all workers."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
import torch.distributed as dist
from torch import multiprocessing

from poise.config.errors import PoiseError
from poise.config.leaving import leave_within_s
from poise.training.sigterm import TakenBack, hear_sigterm, leaving_with_notice
from poise.training.stop_agreement import ASK_S, SharedNotice
from poise.training.stop_request import HERE, Notice


class Clock:
    """Seconds that pass only when the test says so."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_first_signal_asks_and_the_second_ends_at_once() -> None:
    asked: list[str] = []

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(SystemExit), leaving_with_notice(asked.append) as is_leaving:
            assert not is_leaving()
            terminate()
            assert is_leaving() and asked == ["SIGTERM"]
            terminate()
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_checkpoint_may_take_as_long_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # SLURM and Kubernetes gave two minutes, and the run took 25 s of them.
    monkeypatch.delenv("POISE_LEAVE_WITHIN_S", raising=False)
    assert leave_within_s() == 25
    monkeypatch.setenv("POISE_LEAVE_WITHIN_S", "0.02")
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        with leaving_with_notice(lambda _: None):
            terminate()
            assert ended.wait(30), "the time is over, so SIGTERM has its former effect"
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("written", ["soon", "0", "-5", "inf", "nan"])
def test_a_time_that_is_no_number_is_refused_before_training(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_LEAVE_WITHIN_S", written)
    with (
        pytest.raises(PoiseError, match=f"^POISE_LEAVE_WITHIN_S={written}: must be a number"),
        leaving_with_notice(lambda _: None),
    ):
        raise AssertionError


def test_a_worker_hears_the_first_signal_only_while_it_trains() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        hear_sigterm()
        hear_sigterm()  # a second run in the same process
        terminate()
        assert heard == [signal.SIGTERM], "nothing trains: it acts as before"
        with HERE.heard() as notice:
            terminate()
            assert notice.reason == f"SIGTERM to process {os.getpid()} of a worker"
            terminate()
        assert len(heard) == 2, "who is asked twice goes at once"
        with HERE.heard() as notice:
            assert notice.reason is None, "notice is for one run"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_who_is_taken_back_exits_as_a_process_that_sigterm_ended() -> None:
    end = TakenBack("SIGTERM", 40)
    assert end.code == 143
    assert str(end) == "taken back (SIGTERM): the checkpoint of step 40 is saved"


def test_a_single_worker_leaves_after_the_step_and_asks_ray_now_and_then() -> None:
    asked: list[float] = []
    clock = Clock()

    def ask() -> str | None:
        asked.append(clock())
        return "Ray loses node 1" if len(asked) == 2 else None

    notice = SharedNotice(ask, notice=Notice(), clock=clock)
    answers = []
    for second in range(1, 2 * int(ASK_S) + 1):
        clock.now_s = second
        answers.append(notice.after_step())
    assert asked == [ASK_S, 2 * ASK_S]
    assert answers == [None] * (len(answers) - 1) + ["Ray loses node 1"]
    given = Notice()
    given.give("SIGTERM")
    assert SharedNotice(ask, notice=given, clock=clock).after_step() == "SIGTERM"


def _train(rank: int, rendezvous: str, folder: str) -> None:
    dist.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=2)
    own = Notice()
    shared = SharedNotice(lambda: None, rank, 2, own)
    for step in range(1, 20):
        if (rank, step) == (1, 5):
            own.give("SIGTERM to process 7 of a worker")
        reason = shared.after_step()
        if reason is not None:
            Path(folder, str(rank)).write_text(json.dumps([step, reason]))
            break
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_all_workers_leave_after_the_same_step_whoever_was_told(tmp_path: Path) -> None:
    arguments = (str(tmp_path / "rendezvous"), str(tmp_path))
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_train, args=(rank, *arguments)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    left = [json.loads((tmp_path / rank).read_text()) for rank in "01"]
    assert left == [[6, "worker rank 1 got notice"], [6, "SIGTERM to process 7 of a worker"]]
