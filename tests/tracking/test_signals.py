"""Every signal that ends a run leaves true records and one line."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from poise.tracking import ending
from poise.tracking.ending import Status, controlled, finish
from poise.tracking.run import Run
from poise.tracking.signals import raising, undisturbed

LINE = "it is ending: records are being written, which takes a moment\n"


@pytest.fixture(autouse=True)
def _as_in_a_terminal() -> Iterator[None]:
    """Signals do what they do in a terminal; behind ``nohup`` or ``&`` some are ignored."""
    usual: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def status(run: Run) -> str:
    return str(run.store.client.get_run(run.run_id).info.status)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_process_kills_the_run_and_is_given_back(
    run: Run, number: signal.Signals
) -> None:
    # SIGHUP, when a terminal is closed, left the run RUNNING.
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, controlled(run):
        send(number)
    assert ended.value.code == 128 + number
    assert status(run) == "KILLED"
    assert signal.getsignal(number) is before


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` has it
    try:
        with raising():
            send(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_ctrl_c_is_one_line_and_the_run_is_killed_all_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def impatient(run: Run, status: Status) -> None:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            send(number)
        finish(run, status)

    monkeypatch.setattr(ending, "finish", impatient)
    with pytest.raises(KeyboardInterrupt), controlled(run):
        send(signal.SIGINT)
    assert status(run) == "KILLED"
    assert capfd.readouterr().err == LINE


def test_a_ctrl_c_while_a_finished_run_is_written_down_comes_after_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(run: Run, status: Status) -> None:
        send(signal.SIGINT)
        finish(run, status)

    monkeypatch.setattr(ending, "finish", late)
    with pytest.raises(KeyboardInterrupt), controlled(run):
        pass
    assert status(run) == "FINISHED"


def test_another_thread_arranges_nothing_and_fails_at_nothing() -> None:
    def both() -> None:
        with raising(), undisturbed():
            done.append(True)

    done: list[bool] = []
    thread = threading.Thread(target=both)
    thread.start()
    thread.join()
    assert done == [True]
