"""Waiting for an event. A test has no limits of its own: pytest's `timeout` ends what hangs."""

import time
from collections.abc import Callable


def wait_until(happened: Callable[[], object], pause_s: float = 0.02) -> None:
    """Returns when the condition holds, which is asked again and again."""
    while not happened():
        time.sleep(pause_s)
