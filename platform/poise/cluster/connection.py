"""The connection to Ray, made once per process."""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray

from poise.config.errors import PoiseError, one_line

_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # `ray.train.report` waits for this poll
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the behaviour that Ray is moving to
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # Poise shows its own progress
    # Below this Ray warns of processes that claim no CPU, of which a trial has several.
    "RAY_worker_maximum_startup_concurrency": "32",
}
# Its advice on tokens: a cluster of one's own has one by default, and nobody need do anything.
_TALKATIVE = "ray._private.authentication.authentication_token_setup"
logger = logging.getLogger(__name__)

# Where processes of a cluster find its dashboard. Else they look for a cluster on the machine, and
# fail where there are two.
_DASHBOARD = "RAY_API_SERVER_ADDRESS"

_ONE_AT_A_TIME = threading.Lock()
_STARTS = 2  # tries: on a busy machine the first may find its own node late


def start_ray(ends_runs: bool = False) -> None:
    """Joins the cluster that RAY_ADDRESS names, else starts one on this machine.

    Args:
        ends_runs: whether runs may be ended from outside, as trials of a study are. Ray Train then
            frees what they held with the help of Ray's dashboard alone; without it the next trial
            waits for ever.

    Raises:
        PoiseError: RAY_ADDRESS names no cluster that answers, or none can be started.
    """
    with _ONE_AT_A_TIME:
        if not ray.is_initialized():
            _connect(ends_runs)


def start_ray_early(ends_runs: bool = False) -> None:
    """Starts Ray in a thread while the caller does other work; ``start_ray`` then waits for it.

    Starting takes seconds in which this process has little to do. What goes wrong is raised by
    ``start_ray``, which tries again.
    """

    def start() -> None:
        with suppress(Exception):
            start_ray(ends_runs)

    threading.Thread(target=start, name="start-ray").start()


def _connect(ends_runs: bool) -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    address = os.environ.get("RAY_ADDRESS")
    # Either takes seconds without a sign of life. Commands show these lines, a library is silent.
    if address:
        logger.info("joining Ray at %s …", address)
        _join(address)
    else:
        logger.info("starting Ray on this machine …")
        _start(ends_runs)


def _join(address: str) -> None:
    if address.startswith(("http://", "https://")):
        raise PoiseError(
            f"RAY_ADDRESS={address}: is a dashboard, where `poise submit` sends jobs; "
            "to work on the cluster directly give HOST:PORT or ray://HOST:10001"
        )
    try:
        _init(address=address)
    except ConnectionError as error:
        raise PoiseError(
            f"RAY_ADDRESS={address}: no Ray cluster answers there ({error}); start one with "
            "`ray start --head`, or unset RAY_ADDRESS to run on this machine"
        ) from None


def _start(with_dashboard: bool) -> None:
    for attempt in range(1, _STARTS + 1):
        try:
            _start_with_dashboard() if with_dashboard else _start_without_dashboard()
            return
        except Exception as error:  # Ray raises bare ones when its node is slow to come up
            ray.shutdown()
            if attempt == _STARTS:
                raise PoiseError(
                    f"Ray did not start on this machine: {one_line(error)}; "
                    "`poise doctor` looks for the cause"
                ) from None


def _start_without_dashboard() -> None:
    """Spares ten processes that start with it, for a cluster of minutes."""
    _init(address="local", include_dashboard=False)


def _start_with_dashboard() -> None:
    """Tells the cluster's processes, which inherit it, the address; not those of this process."""
    port = _free_port()
    with _variable(_DASHBOARD, f"http://127.0.0.1:{port}"):
        _init(
            address="local",
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            dashboard_port=port,
        )


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """A variable of this process for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _free_port() -> int:
    """One that nobody on this machine uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _init(**options: Any) -> None:
    logging.getLogger(_TALKATIVE).setLevel(logging.ERROR)
    ray.init(log_to_driver=False, logging_level="WARNING", **options)
