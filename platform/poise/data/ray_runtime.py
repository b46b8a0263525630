"""The connection to Ray, made once per process."""

import os

import ray

from poise.config.errors import PoiseError

_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # `ray.train.report` waits for this poll
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the behaviour that Ray is moving to
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # Poise shows its own progress
}


def start_ray() -> None:
    """Joins the cluster that RAY_ADDRESS names, else starts one on this machine.

    Raises:
        PoiseError: RAY_ADDRESS names a cluster that does not answer.
    """
    if ray.is_initialized():
        return
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    address = os.environ.get("RAY_ADDRESS") or "local"
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="WARNING",
            **({"dashboard_host": "127.0.0.1"} if address == "local" else {}),
        )
    except ConnectionError as error:
        raise PoiseError(
            f"RAY_ADDRESS={address}: no Ray cluster answers there ({error}); start one with "
            "`ray start --head`, or unset RAY_ADDRESS to run on this machine"
        ) from None
