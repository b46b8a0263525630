"""Keeps metrics on disk while the store does not answer.

In: points that could not be sent. Out: the same points, later and perhaps in another process. Next:
``poise.tracking.metric_writer``.
"""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from poise.config.files import to_json


class Point(NamedTuple):
    """One value of one metric, with the time when it was logged."""

    key: str
    value: float
    timestamp_ms: int
    step: int


class Spill:
    """File of points, with one JSON line each. Two threads may append to it."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()

    @property
    def exists(self) -> bool:
        """Whether points are waiting."""
        return self.path.exists()

    def append(self, points: Sequence[Point]) -> None:
        """Adds points. On return they are safely on the disk.

        Raises:
            OSError: the disk is full or not writable; the file has not changed.
        """
        if not points:
            return
        lines = "".join(f"{_as_line(point)}\n" for point in points).encode()
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                # # A killed process may have left half a line, which must not damage the next line.
                _append(file.fileno(), size, lines if _ends_a_line(file, size) else b"\n" + lines)

    def read(self) -> tuple[list[Point], int]:
        """Reads all complete points, and the size of their file in bytes."""
        with self._lock:
            content = self.path.read_bytes()
        lines = content.decode(errors="replace").splitlines()
        return [point for line in lines if (point := _parse(line))], len(content)

    def delete_unless_grown(self, size: int) -> None:
        """Deletes the file whose points ``read`` returned, unless points were added since.

        A file that has grown is kept: sending a point twice stores it only once.
        """
        with self._lock:
            if self.path.stat().st_size == size:
                self.path.unlink()


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
