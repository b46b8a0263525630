"""Connects a process to Ray, once per process.

In: RAY_ADDRESS, if it is set. Out: a process that is connected to a cluster. Next: the stages that
send work to Ray.
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
from poise.cluster.ray_start_folder import is_safe, neutral_folder, variable
from poise.config.errors import PoiseError, one_line
from poise.config.redaction import redacted_address

_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # `ray.train.report` waits for this poll
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the behaviour that Ray is moving to
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # Poise shows its own progress
    # With a smaller number, Ray warns about processes that claim no CPU. A trial has several of
    # them.
    "RAY_worker_maximum_startup_concurrency": "32",
}
_TALKATIVE = {
    # This logger gives advice about tokens. A local cluster creates its own token.
    "ray._private.authentication.authentication_token_setup": logging.ERROR,
    "ray._private.services": logging.CRITICAL,  # prints the dashboard's log if it starts late
}
logger = logging.getLogger(__name__)

_DASHBOARD = "RAY_API_SERVER_ADDRESS"
"""Environment variable with the dashboard's address, for the processes of a cluster. Without this
variable, these processes search the machine for a cluster, and fail if they find two clusters.
"""

_ONE_AT_A_TIME = threading.Lock()
_STARTS = 2
"""Number of attempts to start a cluster. Ray allows 30 s for one attempt, which can be too short on
a busy machine.
"""


def start_ray(ends_runs: bool = False) -> None:
    """Joins the cluster that RAY_ADDRESS names, or starts a cluster on this machine.

    Args:
        ends_runs: whether other processes may end runs, as a study ends its trials. Ray Train frees
            the resources of such a run only if the dashboard is running. Without the dashboard, the
            next trial would wait forever.

    Raises:
        PoiseError: no cluster answers at RAY_ADDRESS, or Ray cannot be started.
    """
    with _ONE_AT_A_TIME:
        if not ray.is_initialized():
            _connect(ends_runs)


def start_ray_early(ends_runs: bool = False) -> None:
    """Starts Ray in a thread while the caller does other work. ``start_ray`` waits for the thread.

    Starting takes seconds in which this process does almost nothing. If the start fails,
    ``start_ray`` tries again and raises the error. If Ray cannot start from the current folder,
    this function does nothing, because starting Ray would change the current folder of the caller.
    """
    if not is_safe():
        return

    def start() -> None:
        with suppress(Exception):
            start_ray(ends_runs)
        # Ray's processes are killed as soon as the thread that started them ends
        # (PR_SET_PDEATHSIG). So this thread must not end.
        threading.Event().wait()

    threading.Thread(target=start, name="start-ray", daemon=True).start()


def _connect(ends_runs: bool) -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    address = os.environ.get("RAY_ADDRESS", "").strip()
    # Joining and starting take seconds and print nothing. Commands show these lines; the library
    # does not.
    if address and address != "local":
        logger.info("joining Ray at %s …", redacted_address(address))
        _join(address)
    else:
        logger.info("starting Ray on this machine …")
        _start(ends_runs)


def _join(address: str) -> None:
    check_listens(address, f"RAY_ADDRESS={address}")
    try:
        with neutral_folder():
            _init(address=address)
    except Exception as error:  # Ray raises many kinds of errors, even plain Exception
        ray.shutdown()
        if "nauthenticated" in str(error):
            raise PoiseError(
                f"RAY_ADDRESS={address}: asks for a token: set RAY_AUTH_MODE=token, and "
                "RAY_AUTH_TOKEN (or the file ~/.ray/auth_token) to the token of its head node"
            ) from None
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
        except Exception as error:  # Ray raises a plain Exception if its node starts slowly
            ray.shutdown()
            reason = one_line(error)
            if attempt == _STARTS:
                raise PoiseError(
                    f"Ray did not start on this machine: {reason}; its logs are in {_logs()}, and "
                    "`poise doctor` looks for the cause"
                ) from None
            logger.info("Ray did not start (%s); trying again …", reason)


def _start_without_dashboard() -> None:
    """Starts Ray without a dashboard, which has ten processes that a short run does not need."""
    _init(address="local", include_dashboard=False)


def _start_with_dashboard() -> None:
    """Starts Ray with a dashboard. Only the cluster's own processes get the dashboard's address."""
    port = free_port()
    with variable(_DASHBOARD, f"http://127.0.0.1:{port}"):
        _init(
            address="local",
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            dashboard_port=port,
        )


def free_port() -> int:
    """Returns a port that no process on this machine uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _init(**options: Any) -> None:
    for name, level in _TALKATIVE.items():
        logging.getLogger(name).setLevel(level)
    logging.getLogger("ray._private.worker").addFilter(_is_for_users)
    ray.init(log_to_driver=False, logging_level="WARNING", **options)


def _is_for_users(record: logging.LogRecord) -> bool:
    # ``start_ray_early`` starts Ray outside the main thread. Commands handle SIGTERM themselves.
    return "SIGTERM handler is not set" not in record.getMessage()


def _logs() -> Path:
    """Returns the folder of the logs of the cluster that was started last."""
    newest = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "session_latest" / "logs"
    return newest.resolve()
