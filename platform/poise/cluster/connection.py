"""The connection to Ray, made once per process.

In: RAY_ADDRESS or nothing. Out: a process that is joined to a cluster. Next: the
stages that send work to Ray.
"""

import logging
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray

from poise.cluster.address import check_listens
from poise.cluster.surroundings import is_safe, neutral_folder, variable
from poise.config.errors import PoiseError, one_line

_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # `ray.train.report` waits for this poll
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the behaviour that Ray is moving to
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # Poise shows its own progress
    # With fewer, Ray warns of processes that claim no CPU. A trial has several of them.
    "RAY_worker_maximum_startup_concurrency": "32",
}
_TALKATIVE = {
    # It advises on tokens. A local cluster has one without anybody's help.
    "ray._private.authentication.authentication_token_setup": logging.ERROR,
    "ray._private.services": logging.CRITICAL,  # it prints the dashboard's log where it is late
}
logger = logging.getLogger(__name__)

_DASHBOARD = "RAY_API_SERVER_ADDRESS"
"""The variable that leads a cluster's processes to its dashboard. Without it they look for a
cluster on the machine, and fail where there are two."""

_ONE_AT_A_TIME = threading.Lock()
_STARTS = 2
"""Attempts to start a cluster. Ray gives its own node 30 s, which a busy machine exceeds."""


def start_ray(ends_runs: bool = False) -> None:
    """Joins the cluster that RAY_ADDRESS names, else starts one on this machine.

    Args:
        ends_runs: whether runs may be ended from outside, as trials of a study are. Only with its
            dashboard can Ray Train free what such runs held; without it the next trial waits for
            ever.

    Raises:
        PoiseError: RAY_ADDRESS names no cluster that answers, or none can be started.
    """
    with _ONE_AT_A_TIME:
        if not ray.is_initialized():
            _connect(ends_runs)


def start_ray_early(ends_runs: bool = False) -> None:
    """Starts Ray in a thread while the caller does other work; ``start_ray`` then waits for it.

    Starting takes seconds in which this process has little to do. ``start_ray`` tries again where
    this fails, and raises what goes wrong. Nothing is started where Ray needs another current
    folder, which the caller would lose.
    """
    if not is_safe():
        return

    def start() -> None:
        with suppress(Exception):
            start_ray(ends_runs)
        # Ray's processes are killed when the thread that started them ends, not only when the
        # process does (PR_SET_PDEATHSIG): this thread must stay.
        threading.Event().wait()

    threading.Thread(target=start, name="start-ray", daemon=True).start()


def _connect(ends_runs: bool) -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    address = os.environ.get("RAY_ADDRESS", "").strip()
    # Both ways take seconds and print nothing. Commands show these lines, a library is silent.
    if address and address != "local":
        logger.info("joining Ray at %s …", address)
        _join(address)
    else:
        logger.info("starting Ray on this machine …")
        _start(ends_runs)


def _join(address: str) -> None:
    check_listens(address, f"RAY_ADDRESS={address}")
    try:
        with neutral_folder():
            _init(address=address)
    except Exception as error:  # Ray raises many kinds, bare ones among them
        ray.shutdown()
        raise PoiseError(
            f"RAY_ADDRESS={address}: no Ray cluster answers there ({one_line(error)}); start one "
            "with `ray start --head`, or unset RAY_ADDRESS to run on this machine"
        ) from None


def _start(with_dashboard: bool) -> None:
    for attempt in range(1, _STARTS + 1):
        try:
            with neutral_folder():
                _start_with_dashboard() if with_dashboard else _start_without_dashboard()
            return
        except Exception as error:  # Ray raises bare ones when its node is slow to come up
            ray.shutdown()
            reason = one_line(error)
            if attempt == _STARTS:
                raise PoiseError(
                    f"Ray did not start on this machine: {reason}; its logs are in {_logs()}, and "
                    "`poise doctor` looks for the cause"
                ) from None
            logger.info("Ray did not start (%s); trying again …", reason)


def _start_without_dashboard() -> None:
    """Saves the ten processes that start with a dashboard, for a cluster of minutes."""
    _init(address="local", include_dashboard=False)


def _start_with_dashboard() -> None:
    """Gives the dashboard's address to the cluster's processes, and not to those of this one."""
    port = _free_port()
    with variable(_DASHBOARD, f"http://127.0.0.1:{port}"):
        _init(
            address="local",
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            dashboard_port=port,
        )


def _free_port() -> int:
    """A port that nobody on this machine uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _init(**options: Any) -> None:
    for name, level in _TALKATIVE.items():
        logging.getLogger(name).setLevel(level)
    ray.init(log_to_driver=False, logging_level="WARNING", **options)


def _logs() -> Path:
    """The folder of the newest cluster's logs."""
    newest = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "session_latest" / "logs"
    return newest.resolve()
