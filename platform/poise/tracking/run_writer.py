"""Sends the metrics of one run to the store without delaying a training step.

In: ``log(step, metrics)`` from the training loop. Out: rows in MLflow. If the store does not
answer, the metrics are written to a file in the run's folder and sent later. Next:
``poise.tracking.metric_values``, which reads the rows.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from poise.tracking.address import safe_line
from poise.tracking.pictures import Picture
from poise.tracking.store import Store
from poise.tracking.stored_points import StoredPoints
from poise.tracking.time_limits import Patience, is_refusal
from poise.tracking.unsent_messages import Delivery, Outbox, deliver, tag_delivery
from poise.tracking.unsent_metrics import BATCH_POINTS, Point, Spill, store_points

if TYPE_CHECKING:
    from torch import Tensor

    from poise.diagnostics.judge.verdict import Verdict

logger = logging.getLogger(__name__)

_MAX_NAME_LENGTH = 250


class RunWriter:
    """Observer of training that collects metrics in memory and stores them from its own thread.

    After ``flush``, all logged points are in the store or in the spill file. This file is in the
    run's folder. The next writer of the run sends the points of this file. If the process is
    killed, the points since the last flush are lost. The training loop flushes before each
    checkpoint. So points are lost only for steps that will be trained again. Sending a point twice
    is harmless, because a point keeps the time of its ``log``, and the store keeps equal rows only
    once. A step that is trained again does not add rows that the store already has.

    If the store stops answering, ``flush`` waits once. After that, each flush writes to the file at
    once, until the store answers. In each further outage, ``flush`` waits half as long as before.
    So all waits of a run together take less than twice ``patience.flush_s``.

    Args:
        store: store of the run. The parent process has opened it.
        run_id: id of the MLflow run.
        spill_file: file in the run's folder, for points that the store did not accept. Its storage
            must be kept after this process has ended. Points in the file are sent first.
        patience: waiting times.
        again: whether steps are trained again with other hyperparameters. Then their points are
            stored again, and the later points count.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        spill_file: str | Path,
        patience: Patience | None = None,
        again: bool = False,
    ):
        self._store, self._run_id = store, run_id
        self._stored = None if again else StoredPoints(store, run_id)
        self._patience = patience or Patience()
        self._wait_s = self._patience.flush_s
        self._spill = Spill(Path(spill_file))
        self._outbox = Outbox(self._spill.path.parent, run_id)
        self._messages: list[Callable[[], Delivery]] = []
        self._unsent: list[Point] = []  # a new list replaces it when points go to the file
        self._changed = threading.Condition()
        self._moving = threading.Lock()
        self._flushing = self._closing = self._store_silent = self._disk_full = False
        self._next_attempt = 0.0
        self._thread = threading.Thread(target=self._run, name="metric-writer", daemon=True)
        self._thread.start()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Stores the metrics of a step in memory for the next request, and returns at once."""
        now_ms = time.time_ns() // 1_000_000
        points = [Point(metric_name(k), float(v), now_ms, step) for k, v in metrics.items()]
        with self._changed:
            self._unsent += points
            if len(self._unsent) >= BATCH_POINTS:
                self._changed.notify_all()

    def judged(self, step: int, verdict: Verdict) -> None:
        """Stores the current verdict in memory as tags of the run, and returns at once."""
        tags = {key: str(value) for key, value in verdict_tags(step, verdict).items()}
        self._take(partial(tag_delivery, self._run_id, tags))

    def note(self, step: int, topic: str, text: str) -> None:
        """Stores a sentence in memory for the run's tag ``poise.<topic>``, and returns at once."""
        self._take(partial(tag_delivery, self._run_id, {f"poise.{topic}": text}))

    def show(self, step: int, name: str, picture: Tensor) -> None:
        """Stores a picture in memory for the run's artifacts, and returns at once."""
        self._take(Picture(self._run_id, step, name, picture).delivery)

    def flush(self) -> None:
        """Waits until all logged points are in the store or, if that fails, in a file on disk.

        If the disk is full, the points stay in memory and a warning is logged.
        """
        with self._changed:
            self._flushing = True
            self._changed.notify_all()
            answered = self._changed.wait_for(
                lambda: not self._unsent or self._store_silent, self._wait_s
            )
        if not answered:
            self._give_up(f"no answer within {self._wait_s:g} s")
            self._wait_s /= 2
        self._move_to_file()

    def close(self) -> None:
        """Flushes, tries once more to send the points in the file on disk, and ends the thread."""
        self.flush()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(self._wait_s)

    def _take(self, make: Callable[[], Delivery]) -> None:
        with self._changed:
            self._messages.append(make)

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._wait_for_work()
            if not (self._send_file(at_once=closing) and self._send_memory()):
                self._move_to_file()
            self._send_messages()

    def _wait_for_work(self) -> bool:
        """Waits until there is something to send, or until the next request is due.

        Returns True if the writer is closing.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._flushing or self._closing or len(self._unsent) >= BATCH_POINTS,
                self._patience.period_s,
            )
            self._flushing = False
            return self._closing

    def _send_memory(self) -> bool:
        while True:
            with self._changed:
                source = self._unsent
                batch = source[:BATCH_POINTS]
            if not batch:
                return True
            if not self._send(batch):
                return False
            with self._changed:
                del source[: len(batch)]
                self._changed.notify_all()

    def _send_messages(self) -> None:
        """Sends verdicts and pictures. If the store does not answer, they are written to disk."""
        with self._changed:
            messages, self._messages = self._messages, []
        for make in messages:
            try:
                message = make()
                if self._store_silent:
                    message.keep(self._outbox)
                else:
                    deliver(self._store, self._outbox, message)
            except Exception as error:  # training continues without a picture
                logger.warning("run %s: %s", self._run_id, safe_line(error))

    def _send_file(self, at_once: bool) -> bool:
        """Sends the points in the file on disk.

        Returns False if the store still does not answer.
        """
        if self._spill.exists and time.monotonic() < self._next_attempt and not at_once:
            return False
        try:
            return self._spill.send(self._send)
        except OSError as error:
            self._warn_of_the_disk(error)
        return True

    def _move_to_file(self) -> None:
        # There are two locks. So a slow disk may delay `flush`, but never `log`.
        with self._moving:
            with self._changed:
                points, self._unsent = list(self._unsent), []
            try:
                self._spill.append(points)
                self._disk_full = False
            except OSError as error:
                with self._changed:
                    self._unsent = points + self._unsent
                self._warn_of_the_disk(error)

    def _warn_of_the_disk(self, error: OSError) -> None:
        if not self._disk_full:
            logger.warning(
                "run %s: %s: %s; training goes on, and metrics that MLflow has not received are "
                "only in memory: they are lost if this process ends before the disk has space",
                self._run_id, self._spill.path, error.strerror or error,
            )  # fmt: skip
        self._disk_full = True

    def _send(self, points: list[Point]) -> bool:
        pauses = () if self._store_silent else self._patience.backoff_s
        for pause in (*pauses, None):
            try:
                self._log_once(points)
            except Exception as error:  # whatever the reason, the points are not stored
                if pause is None or is_refusal(error):
                    self._give_up(safe_line(error))
                    return False
                time.sleep(pause)
            else:
                break
        self._store_silent = False
        return True

    def _log_once(self, points: list[Point]) -> None:
        lacking = points if self._stored is None else self._stored.lacking(points)
        if lacking:
            store_points(self._store.client, self._run_id, lacking)
        if self._stored is not None:
            self._stored.add(lacking)

    def _give_up(self, reason: str) -> None:
        """Marks the store as not answering, and logs a warning."""
        with self._changed:
            was_silent, self._store_silent = self._store_silent, True
            self._next_attempt = time.monotonic() + self._patience.retry_s
            self._changed.notify_all()
        if not was_silent:
            logger.warning(
                "run %s: the MLflow store does not take metrics (%s); training goes on, and the "
                "metrics wait in %s", self._run_id, reason, self._spill.path,
            )  # fmt: skip


def verdict_tags(step: int, verdict: Verdict) -> dict[str, object]:
    """Makes the tags for a verdict after ``step`` steps."""
    return {
        "poise.verdict": verdict.kind,
        "poise.verdict_evidence": verdict.evidence,
        "poise.verdict_step": step,
    }


def metric_name(name: str) -> str:
    """Returns a name that MLflow accepts: ``eval/knn@1`` becomes ``eval/knn_1``."""
    parts = [re.sub(r"[^\w\-. :]", "_", part) for part in name.split("/")]
    kept = "/".join(part for part in parts if part not in ("", ".", ".."))
    return kept[:_MAX_NAME_LENGTH].rstrip("/") or "unnamed"
