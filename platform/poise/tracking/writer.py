"""The metrics of one run, on their way to the store without holding up a step.

In: ``log(step, metrics)`` from the training loop. Out: rows in MLflow, or, while the store does
not answer, lines in a file beside the run that are sent later. Next: ``poise.tracking.run``,
whose ``history`` reads them.
"""

import logging
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Metric, RunTag
from torch import Tensor

from poise.diagnostics.judge import Verdict
from poise.tracking.pictures import Picture
from poise.tracking.spill import Point, Spill
from poise.tracking.store import Store, safe_line

logger = logging.getLogger(__name__)

_BATCH_POINTS = 900  # an MLflow server takes at most 1000 at once
_MAX_NAME_LENGTH = 250
_HOPELESS = {
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "PERMISSION_DENIED",
    "RESOURCE_DOES_NOT_EXIST",
    "UNAUTHENTICATED",
}


@dataclass(frozen=True)
class Patience:
    """How long the writer waits for what."""

    period_s: float = 2.0
    """Between two sendings of whatever has been logged."""

    backoff_s: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Pauses between attempts to send; after the last the points go to the file."""

    flush_s: float = 30.0
    """What a flush gives the store before the file gets the points instead. Stalls of 2 to 6 s
    are normal when several trials write to one SQLite file."""

    retry_s: float = 10.0
    """Between attempts to send what is in the file."""


class MetricWriter:
    """Follows a run: keeps its metrics in memory and stores them from a thread of its own.

    After ``flush`` everything logged so far is in the store or, synced to disk, in the file that
    the run's next writer sends. What was logged since the last flush dies with a killed process;
    flushing before each checkpoint makes that exactly the steps that are trained again. Sending
    twice is harmless: a point keeps the time of its ``log`` and the store keeps equal rows once.

    Args:
        store: where the run is; opened before by the process that started this one.
        run_id: the MLflow run.
        spill_file: on storage that outlives this process. Points left there are sent first.
        patience: waiting times.
    """

    def __init__(
        self, store: Store, run_id: str, spill_file: str | Path, patience: Patience | None = None
    ):
        self._store, self._run_id = store, run_id
        self._patience = patience or Patience()
        self._spill = Spill(Path(spill_file))
        self._pictures: list[Picture] = []
        self._judged: tuple[int, Verdict] | None = None
        self._unsent: list[Point] = []  # replaced, never emptied, when its points go to the file
        self._changed = threading.Condition()
        self._moving = threading.Lock()
        self._flushing = self._closing = self._store_silent = False
        self._next_attempt = 0.0
        self._thread = threading.Thread(target=self._run, name="metric-writer", daemon=True)
        self._thread.start()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes the metrics of a step. Returns at once, whatever the store is doing."""
        now_ms = time.time_ns() // 1_000_000
        points = [Point(metric_name(k), float(v), now_ms, step) for k, v in metrics.items()]
        with self._changed:
            self._unsent += points
            if len(self._unsent) >= _BATCH_POINTS:
                self._changed.notify_all()

    def judged(self, step: int, verdict: Verdict) -> None:
        """Takes the verdict so far for the run's tags. Returns at once.

        The controller writes the last one; one that the store does not take is left to it.
        """
        with self._changed:
            self._judged = (step, verdict)

    def show(self, step: int, name: str, picture: Tensor) -> None:
        """Takes a picture for the run's artifacts. Returns at once.

        Pictures are for people: one that the store does not take is lost, with a warning.
        """
        with self._changed:
            self._pictures.append(Picture(step, name, picture))

    def flush(self) -> None:
        """Returns once everything logged is in the store or, failing that, synced to the file."""
        with self._changed:
            self._flushing = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: not self._unsent or self._store_silent, self._patience.flush_s
            )
        self._move_to_file()

    def close(self) -> None:
        """Flushes, gives points in the file a last attempt, and ends the thread."""
        self.flush()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(self._patience.flush_s)

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._wait_for_work()
            self._send_verdict()
            self._send_pictures()
            try:
                if not (self._send_file(at_once=closing) and self._send_memory()):
                    self._move_to_file()
            except OSError as error:  # a full disk; the points stay in memory
                logger.warning("run %s: %s: %s", self._run_id, self._spill.path, error)

    def _wait_for_work(self) -> bool:
        """Waits for a period, a full batch, a flush or the end; returns whether it is the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._flushing or self._closing or len(self._unsent) >= _BATCH_POINTS,
                self._patience.period_s,
            )
            self._flushing = False
            return self._closing

    def _send_memory(self) -> bool:
        while True:
            with self._changed:
                source = self._unsent
                batch = source[:_BATCH_POINTS]
            if not batch:
                return True
            if not self._send(batch):
                return False
            with self._changed:
                del source[: len(batch)]
                self._changed.notify_all()

    def _send_verdict(self) -> None:
        with self._changed:
            judged, self._judged = self._judged, None
        if judged is None:
            return
        tags = [RunTag(key, str(value)) for key, value in verdict_tags(*judged).items()]
        try:
            self._store.client.log_batch(self._run_id, tags=tags)
        except Exception as error:  # whatever it is, training goes on
            logger.warning(
                "run %s: the MLflow store does not take the verdict of step %d (%s)",
                self._run_id, judged[0], safe_line(error),
            )  # fmt: skip

    def _send_pictures(self) -> None:
        with self._changed:
            pictures, self._pictures = self._pictures, []
        for picture in pictures:
            try:
                picture.send(self._store, self._run_id)
            except Exception as error:  # whatever it is, training goes on
                logger.warning(
                    "run %s: the MLflow store does not take the picture %s of step %d (%s)",
                    self._run_id, picture.name, picture.step, safe_line(error),
                )  # fmt: skip

    def _send_file(self, at_once: bool) -> bool:
        """Sends what waits on disk; false while the store still does not answer."""
        if not self._spill.exists:
            return True
        if time.monotonic() < self._next_attempt and not at_once:
            return False
        points, size = self._spill.read()
        for start in range(0, len(points), _BATCH_POINTS):
            if not self._send(points[start : start + _BATCH_POINTS]):
                return False
        self._spill.delete_unless_grown(size)
        return True

    def _move_to_file(self) -> None:
        # Two locks, so that a slow disk holds up a flush and never a `log`.
        with self._moving:
            with self._changed:
                points, self._unsent = list(self._unsent), []
            try:
                self._spill.append(points)
            except OSError:
                with self._changed:
                    self._unsent = points + self._unsent
                raise

    def _send(self, points: list[Point]) -> bool:
        metrics = [Metric(*point) for point in points]
        pauses = () if self._store_silent else self._patience.backoff_s
        for pause in (*pauses, None):
            try:
                self._store.client.log_batch(self._run_id, metrics=metrics)
            except Exception as error:  # whatever it is, the points are not stored
                if pause is None or _is_hopeless(error):
                    self._give_up(error)
                    return False
                time.sleep(pause)
            else:
                break
        self._store_silent = False
        return True

    def _give_up(self, error: Exception) -> None:
        if not self._store_silent:
            logger.warning(
                "run %s: the MLflow store does not take metrics (%s); they wait in %s",
                self._run_id,
                safe_line(error),
                self._spill.path,
            )
        self._next_attempt = time.monotonic() + self._patience.retry_s
        with self._changed:
            self._store_silent = True
            self._changed.notify_all()


def verdict_tags(step: int, verdict: Verdict) -> dict[str, object]:
    """A run's tags for the verdict on its first ``step`` steps."""
    return {
        "poise.verdict": verdict.kind,
        "poise.verdict_evidence": verdict.evidence,
        "poise.verdict_step": step,
    }


def metric_name(name: str) -> str:
    """The nearest name that MLflow takes: ``eval/knn@1`` becomes ``eval/knn_1``."""
    parts = [re.sub(r"[^\w\-. :]", "_", part) for part in name.split("/")]
    kept = "/".join(part for part in parts if part not in ("", ".", ".."))
    return kept[:_MAX_NAME_LENGTH].rstrip("/") or "unnamed"


def _is_hopeless(error: Exception) -> bool:
    """Whether trying again soon cannot help.

    A server whose connection pool is exhausted says 400, like one that was sent nonsense.
    """
    return getattr(error, "error_code", None) in _HOPELESS and "QueuePool" not in str(error)
