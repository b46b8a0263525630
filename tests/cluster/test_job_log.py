"""Following a job's log, without a cluster."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from ray.job_submission import JobStatus

from poise.cluster import job_log
from poise.cluster.address import ClusterAddress
from poise.cluster.job_log import follow
from poise.config.errors import PoiseError

CLUSTER = ClusterAddress("http://127.0.0.1:1", "the test")
LOG = "first line\nsecond line\nthird line\n"


class MuteClient:
    """A client whose job says nothing, while a person presses Ctrl-C."""

    async def tail_job_logs(self, name: str) -> AsyncIterator[str]:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(600)
        yield name


@dataclass
class BrokenClient:
    """A client whose connection breaks after some characters, several times."""

    breaks_after: list[int]
    status: JobStatus = JobStatus.SUCCEEDED
    exit_status: int | None = 0
    error: Exception = field(default_factory=lambda: RuntimeError("closed unexpectedly"))

    async def tail_job_logs(self, name: str) -> AsyncIterator[str]:
        length = self.breaks_after.pop(0) if self.breaks_after else len(LOG)
        for start in range(0, length, 7):
            yield LOG[start : min(start + 7, length)]
        if length < len(LOG):
            raise self.error

    def get_job_info(self, name: str) -> Any:
        return SimpleNamespace(
            status=self.status, driver_exit_code=self.exit_status, message="broken"
        )


@dataclass
class SilentClient(BrokenClient):
    """A client whose connection becomes silent after some characters, several times.

    It is what remains of a connection after a machine slept. Other requests are answered.
    """

    async def tail_job_logs(self, name: str) -> AsyncIterator[str]:
        is_lost = bool(self.breaks_after)
        yield LOG[: self.breaks_after.pop(0) if is_lost else len(LOG)]
        if is_lost:
            await asyncio.sleep(600)


def _follow(client: Any, patience_s: float = 60.0) -> tuple[int, str]:
    written: list[str] = []
    status = follow(client, CLUSTER, "job", written.append, patience_s)
    return status, "".join(written)


def test_ctrl_c_ends_following_and_gives_the_handler_back() -> None:
    # A KeyboardInterrupt within asyncio left a loop half made, and a traceback on stderr.
    with pytest.raises(KeyboardInterrupt):
        _follow(MuteClient())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [RuntimeError("closed unexpectedly"), aiohttp.ClientError(), ConnectionResetError()]
)
def test_a_lost_connection_is_made_again_and_no_character_is_lost_or_doubled(
    error: Exception,
) -> None:
    client = BrokenClient(breaks_after=[0, 12, 12, 25], error=error)
    assert _follow(client) == (0, LOG)


def test_a_connection_that_became_silent_is_made_again_though_the_job_has_ended_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A laptop that slept waited for the next line for ever.
    monkeypatch.setattr(job_log, "SILENCE_S", 0.05)
    assert _follow(SilentClient(breaks_after=[5, 12])) == (0, LOG)


def test_a_connection_that_stays_lost_is_given_up_with_the_command_to_go_on() -> None:
    client = BrokenClient(breaks_after=[12] * 9)
    with pytest.raises(PoiseError, match=r"poise jobs attach --address http://127.0.0.1:1 job"):
        _follow(client, patience_s=0.0)


def test_a_job_that_a_new_head_does_not_know_is_not_waited_for() -> None:
    client = BrokenClient(breaks_after=[12], error=RuntimeError("Job job does not exist"))
    with pytest.raises(PoiseError, match="does not know this job any more"):
        _follow(client)


def test_the_exit_status_of_the_job_is_passed_on() -> None:
    assert _follow(BrokenClient([], JobStatus.FAILED, 3)) == (3, LOG)


@pytest.mark.parametrize(
    ("status", "exit_status", "expected"),
    [
        (JobStatus.STOPPED, None, "job job was stopped; the same command"),
        (JobStatus.FAILED, 127, "finds no Python"),
        (JobStatus.FAILED, None, "did not run: broken"),
    ],
)
def test_a_job_that_did_not_end_by_itself_is_explained(
    status: JobStatus, exit_status: int | None, expected: str
) -> None:
    with pytest.raises(PoiseError, match=expected):
        _follow(BrokenClient([], status, exit_status))
