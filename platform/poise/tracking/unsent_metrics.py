"""Keeps metrics on disk while the store does not answer.

In: points that could not be sent. Out: the same points, sent later and perhaps by another process.
Next: ``poise.tracking.run_writer``.
"""

import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Metric

from poise.config.files import to_json

SPILL_FILE = "metrics-waiting.jsonl"
"""Name of the file in a run's folder that contains the waiting points."""

BATCH_POINTS = 900
"""Number of points in one request. An MLflow server accepts at most 1000."""


class Point(NamedTuple):
    """Value of a metric at a step, with the time when it was logged."""

    key: str
    value: float
    timestamp_ms: int
    step: int


def store_points(client: MlflowClient, run_id: str, points: Sequence[Point]) -> None:
    """Stores at most ``BATCH_POINTS`` points of a run.

    Raises:
        MlflowException: the store does not accept the points.
    """
    client.log_batch(run_id, metrics=[Metric(*point) for point in points])


class Spill:
    """File of points that wait for the store, with one JSON line per point.

    Threads may share it.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()

    @property
    def exists(self) -> bool:
        """Whether points are waiting."""
        return self.path.exists()

    def append(self, points: Sequence[Point]) -> None:
        """Adds points to the file. When this method returns, the points are on the disk.

        Raises:
            OSError: the disk is full or not writable. The file has not changed.
        """
        if not points:
            return
        lines = "".join(f"{_as_line(point)}\n" for point in points).encode()
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                # A killed process may have left half a line, which must not damage the next line.
                _append(file.fileno(), size, lines if _ends_a_line(file, size) else b"\n" + lines)

    def read(self) -> tuple[list[Point], int]:
        """Reads all complete points, and the size of the file in bytes."""
        with self._lock:
            content = self.path.read_bytes()
        lines = content.decode(errors="replace").splitlines()
        return [point for line in lines if (point := _parse(line))], len(content)

    def send(self, send_batch: Callable[[list[Point]], bool]) -> bool:
        """Sends all waiting points and deletes the file.

        If points were added meanwhile, the file is kept. Then points are sent twice, but the store
        keeps equal points only once.

        Args:
            send_batch: function that stores at most ``BATCH_POINTS`` points. It returns True if the
                points were stored.

        Returns:
            False if a batch was not stored. Then the file is kept.

        Raises:
            OSError: the file cannot be read or deleted.
        """
        if not self.exists:
            return True
        try:
            points, size = self.read()
            for start in range(0, len(points), BATCH_POINTS):
                if not send_batch(points[start : start + BATCH_POINTS]):
                    return False
            with self._lock:
                if self.path.stat().st_size == size:
                    self.path.unlink()
        except FileNotFoundError:  # another thread has sent it
            pass
        return True


def _append(file: int, size: int, content: bytes) -> None:
    try:
        while content:
            content = content[os.write(file, content) :]
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)
        raise


def _ends_a_line(file: BinaryIO, size: int) -> bool:
    if size == 0:
        return True
    file.seek(size - 1)
    return file.read(1) == b"\n"


def _as_line(point: Point) -> str:
    key, value, timestamp_ms, step = point
    return json.dumps([key, to_json(value), timestamp_ms, step], allow_nan=False)


def _parse(line: str) -> Point | None:
    try:
        key, value, timestamp_ms, step = json.loads(line)
        return Point(key, float(value), timestamp_ms, step)
    except (ValueError, TypeError):
        return None  # the incomplete line of a killed process
