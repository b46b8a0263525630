"""What a user sees of the connection to Ray, without a cluster."""

import logging
import threading

import pytest
import ray

from poise.cluster import connection


def test_a_start_outside_the_main_thread_prints_no_warning_about_signals(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def init(**_: object) -> None:  # as Ray's, in another thread
        log = logging.getLogger("ray._private.worker")
        log.warning("SIGTERM handler is not set because current thread is not the main thread.")
        log.warning("the disk is nearly full")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(logging.getLogger("ray"), "propagate", True)
    thread = threading.Thread(target=connection._init)
    thread.start()
    thread.join()
    assert {record.getMessage() for record in caplog.records} == {"the disk is nearly full"}
