"""A worker that hangs is noticed, and the one that holds up the others is named."""

import math
import pickle
import socket
import threading
import time
from pathlib import Path

import pytest
import torch.distributed as dist

from poise.config.locations import Location
from poise.training.run_mailbox import STACKS_FILE, HangError, _Mailbox, hang_error
from poise.training.watchdog import LONGEST_WAIT, SignsOfLife, Stuck, Watchdog
from poise.training.worker_trainer import trainer_of
from tests.builders import random_batch, tiny_recipe
from tests.waiting import wait_until

PLACE = Location.of("/runs/mine/stacks.txt")


def stuck(rank: int, beats: int, doing: str = "step 3") -> Stuck:
    lines = [f'  File "/x/loop.py", line {n}, in f{n}\n    g()\n' for n in range(9)]
    return Stuck(rank, beats, doing, f"process {rank} on host", "".join(lines))


def test_a_worker_that_makes_no_progress_is_told_with_what_it_does() -> None:
    told: list[Stuck] = []
    with Watchdog(0.05, told.append, rank=3) as dog:
        dog.beat("step 7")
        wait_until(lambda: told)
    (found,) = told
    assert (found.rank, found.beats, found.doing) == (3, 1, "step 7")
    assert found.where.startswith("wait_until (waiting.py:")
    assert "test_a_worker_that_makes_no_progress_is_told" in found.where


def test_signs_of_life_keep_a_worker_alive() -> None:
    told: list[Stuck] = []
    pause = threading.Event()
    with Watchdog(5, told.append) as dog:
        batches = [random_batch(tiny_recipe(), batch_size=1) for _ in range(3)]
        assert list(dog.beating(batches, step=10)) == batches
        pause.wait(0.01)
        assert dog._stuck().beats == 6
        assert dog._stuck().doing == "waiting for the batch of step 14"
    assert not told


def test_a_long_evaluation_keeps_its_worker_and_those_that_wait_for_it_alive() -> None:
    # A slow evaluation was called a hang, and so was its repetition after --resume.
    told: list[Stuck] = []
    sent: list[float] = []
    evaluates = SignsOfLife(send=lambda: sent.append(time.monotonic()))
    waits = SignsOfLife(silent_s=lambda: time.monotonic() - sent[-1] if sent else math.inf)
    limit_s = 1.0
    with (
        Watchdog(limit_s, told.append, 0, evaluates) as dog,
        Watchdog(limit_s, told.append, 1, waits),
    ):
        for _ in range(30):  # three times the limit
            evaluates()
            time.sleep(limit_s / 10)
        assert not told
        assert dog._stuck().beats == 0, "an evaluation is no progress in the order of steps"
        wait_until(lambda: len(told) == 2)
    assert {found.rank for found in told} == {0, 1}, "now nobody lives"


def test_workers_hear_in_the_mailbox_whether_anyone_lives(tmp_path: Path) -> None:
    mailbox = _Mailbox(30, Location.of(tmp_path))
    assert mailbox.silent_s() == math.inf
    mailbox.lives()
    assert mailbox.silent_s() < 60


@pytest.mark.slow
def test_pytorch_waits_longer_than_any_evaluation() -> None:
    # With `hang_timeout_minutes: null`, Ray's limit of 30 minutes ended the workers that waited.
    _, options = trainer_of(2)
    timeout_s = options["torch_config"].timeout_s
    assert timeout_s == LONGEST_WAIT.total_seconds() and 1000 * timeout_s < 2**31
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", address, LONGEST_WAIT, world_size=1, rank=0)
    try:
        dist.barrier()
    finally:
        dist.destroy_process_group()


def test_the_worker_that_is_behind_is_named_and_not_those_that_wait_for_it() -> None:
    error = str(hang_error([stuck(1, 20), stuck(0, 21)], 2, 30, PLACE))
    assert "worker rank 1 of 2 (process 1 on host) makes no progress: step 3" in error
    assert "rank 0" not in error
    assert "it is in f8 (loop.py:8) < f7 (loop.py:7)" in error
    assert "after 30 minutes (training.hang_timeout_minutes)" in error
    assert str(PLACE) in error and "--resume" in error and "\n" not in error


def test_all_workers_are_named_if_none_is_behind() -> None:
    error = str(hang_error([stuck(0, 20), stuck(1, 20)], 2, 30, PLACE))
    assert "worker rank 0" in error and "worker rank 1" in error


def test_a_worker_that_cannot_even_say_that_it_hangs_is_named() -> None:
    error = str(hang_error([stuck(0, 20), stuck(2, 20)], 3, 30, PLACE))
    assert "worker rank 1 of 3 does not answer, and the others wait for it" in error


def test_the_desk_keeps_the_stacks_and_the_first_error(tmp_path: Path) -> None:
    mailbox = _Mailbox(30, Location.of(tmp_path))
    assert mailbox.failure() is None
    mailbox.hangs(stuck(0, 2), 2)
    mailbox.hangs(stuck(1, 1), 2)
    mailbox.conclude_hang()
    mailbox.conclude_hang()
    failure = pickle.loads(pickle.dumps(mailbox.failure()))
    assert isinstance(failure, HangError) and "rank 1" in str(failure)
    stacks = (tmp_path / STACKS_FILE).read_text()
    assert "worker rank 0, process 0 on host, step 3" in stacks and stacks.count("f8") == 2
