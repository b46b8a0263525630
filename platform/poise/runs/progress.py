"""Prints the progress of runs that train on any machine of the cluster.

In: metrics and verdicts from the workers. Out: progress bars and lines on standard error. Next: the
person who started the run.
"""

import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import ray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from poise.diagnostics.judge import Verdict

_POLL_S = 0.5


@dataclass(frozen=True)
class Line:
    """Metrics of one run at one step, which are printed as one line, or a sentence instead."""

    run: str
    step: int
    total_steps: int
    metrics: Mapping[str, float]
    verdict: str = ""
    """Latest verdict in a few words. It is empty before the first verdict."""

    note: str = ""
    """Sentence to print instead of the metrics. It is empty if there are metrics to print."""


class _Board:
    """Ray actor that collects the progress lines of all workers, until the display takes them."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    def post(self, line: Line) -> None:
        self._lines.append(line)

    def take(self) -> list[Line]:
        lines, self._lines = self._lines, []
        return lines


@dataclass
class BoardObserver:
    """Observer of a run that sends metrics and verdicts to the Ray actor ``_Board``."""

    board: Any
    run: str
    total_steps: int
    verdict: str = ""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Sends the metrics without waiting for an answer."""
        self.send(Line(self.run, step, self.total_steps, dict(metrics), self.verdict))

    def send(self, line: Line) -> None:
        """Sends one line without waiting for an answer."""
        self.board.post.remote(line)

    def judged(self, step: int, verdict: Verdict) -> None:
        """Stores the verdict, which is shown on every later line."""
        onset = verdict.onset_step
        self.verdict = verdict.kind + ("" if onset is None else f" since step {onset}")

    def note(self, step: int, topic: str, text: str) -> None:
        """Sends a sentence about the run without waiting for an answer."""
        self.send(Line(self.run, step, self.total_steps, {}, note=text))

    def show(self, step: int, name: str, picture: Tensor) -> None:
        """Does nothing, because a line of text cannot contain a picture."""

    def flush(self) -> None:
        """Does nothing, because every line was already sent."""

    def close(self) -> None:
        """Does nothing, because the observer has no open file or connection."""


@dataclass
class HereObserver(BoardObserver):
    """Observer of a run in this process. Its ``board`` is a function that shows a line."""

    def send(self, line: Line) -> None:
        """Shows one line."""
        self.board(describe(line))


class ProgressDisplay:
    """Prints progress lines as they arrive, with progress bars if standard error is a terminal."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(file=sys.stderr)
        self.board: Any = ray.remote(num_cpus=0)(_Board).remote()
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), console=self.console, disable=not self.console.is_terminal,
        )  # fmt: skip
        self._tasks: dict[str, Any] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def observer(self, run: str, total_steps: int) -> Callable[[], BoardObserver]:
        """Returns a function that a worker calls to make the observer of a run."""
        return partial(BoardObserver, self.board, run, total_steps)

    def sayer(self, run: str) -> Callable[[str], None]:
        """Returns a function that shows one line about a run, from any process."""
        return partial(_say, self.board, run)

    def __enter__(self) -> Self:
        self._bars.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(timeout=5)
        self._bars.stop()

    def _follow(self) -> None:
        while not self._over.wait(_POLL_S):
            self._show_new()
        self._show_new()

    def _show_new(self) -> None:
        try:
            lines = ray.get(self.board.take.remote(), timeout=5)
        except Exception:  # the cluster is shutting down, which the run itself reports
            return
        for line in lines:
            if not line.note:
                self._move_bar(line)
            self.console.print(describe(line), highlight=False, markup=False, soft_wrap=True)

    def _move_bar(self, line: Line) -> None:
        if line.run not in self._tasks:
            self._tasks[line.run] = self._bars.add_task(line.run, total=line.total_steps)
        self._bars.update(self._tasks[line.run], completed=line.step)


def _say(board: Any, run: str, text: str) -> None:
    board.post.remote(Line(run, 0, 0, {}, note=text))


def describe(line: Line) -> str:
    """Returns a line with step, loss, probes, speed, waiting for data, time left and verdict."""
    if line.note:
        return f"{time.strftime('%H:%M:%S')} {line.run}  {line.note}"
    metrics = line.metrics
    parts = [f"{time.strftime('%H:%M:%S')} {line.run}  step {line.step}/{line.total_steps}"]
    for name, label, form in _SHOWN:
        if name in metrics:
            parts.append(f"{label} {form.format(metrics[name])}")
    parts += [*_time_left(line), line.verdict]
    return "  ".join(part for part in parts if part)


_SHOWN = (
    ("loss/total", "loss", "{:.3f}"),
    ("loss/over_ln_k", "loss/ln K", "{:.3f}"),
    ("loss/over_mean_patch", "loss/mean patch", "{:.3f}"),
    ("eval/knn_top1", "k-NN", "{:.1f} %"),
    ("eval/linear_top1", "linear", "{:.1f} %"),
    ("eval/rankme", "RankMe", "{:.1f}"),
    ("eval/lidar", "LiDAR", "{:.1f}"),
    ("throughput/images_per_s", "speed", "{:.0f} images/s"),
    ("throughput/data_wait_share", "data wait", "{:.0%}"),
    ("throughput/read_wait_share", "read wait", "{:.0%}"),
)


def _time_left(line: Line) -> list[str]:
    seconds_per_step = line.metrics.get("throughput/s_per_step", math.nan)
    left_s = (line.total_steps - line.step) * seconds_per_step
    if not math.isfinite(left_s):
        return []
    return [f"left {int(left_s) // 3600}:{int(left_s) // 60 % 60:02d}:{int(left_s) % 60:02d}"]
