"""Metrics waiting on disk for a store that does not answer.

In: points that could not be sent. Out: the same points, later and perhaps in another process.
Next: ``poise.tracking.writer``.
"""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from poise.config.files import to_json


class Point(NamedTuple):
    """One value of one metric, at the moment it was logged."""

    key: str
    value: float
    timestamp_ms: int
    step: int


class Spill:
    """A file of points, one JSON line each, that is safe to append to from two threads."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()

    @property
    def exists(self) -> bool:
        """Whether points are waiting."""
        return self.path.exists()

    def append(self, points: Sequence[Point]) -> None:
        """Adds points; they are on the disk, not in a cache, when this returns."""
        with self._lock:
            if not points:
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(f"{_as_line(point)}\n" for point in points)
                file.flush()
                os.fsync(file.fileno())

    def read(self) -> tuple[list[Point], int]:
        """All complete points and the size of the file that held them."""
        with self._lock:
            content = self.path.read_bytes()
        lines = content.decode(errors="replace").splitlines()
        return [point for line in lines if (point := _parse(line))], len(content)

    def delete_unless_grown(self, size: int) -> None:
        """Ends the wait of what ``read`` gave, unless more has been added since.

        A file that has grown stays whole: sending a point twice stores it once.
        """
        with self._lock:
            if self.path.stat().st_size == size:
                self.path.unlink()


def _as_line(point: Point) -> str:
    key, value, timestamp_ms, step = point
    return json.dumps([key, to_json(value), timestamp_ms, step], allow_nan=False)


def _parse(line: str) -> Point | None:
    try:
        key, value, timestamp_ms, step = json.loads(line)
    except ValueError:
        return None  # the line that a killed process was writing
    return Point(key, float(value), timestamp_ms, step)
