"""Following a job's log, without a cluster."""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from poise.cluster.address import ClusterAddress
from poise.cluster.jobs import follow

CLUSTER = ClusterAddress("http://127.0.0.1:1", "the test")


class MuteClient:
    """A client whose job says nothing, while a person presses Ctrl-C."""

    async def tail_job_logs(self, name: str) -> AsyncIterator[str]:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(600)
        yield name


def test_ctrl_c_ends_following_and_gives_the_handler_back() -> None:
    # A KeyboardInterrupt within asyncio left a loop half made, and a traceback on stderr.
    client: Any = MuteClient()
    with pytest.raises(KeyboardInterrupt):
        follow(client, CLUSTER, "job", print)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
