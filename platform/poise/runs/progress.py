"""Shows the progress of runs, from any machine that they train on."""

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
    """Metrics of one run at one step, for one line."""

    run: str
    step: int
    total_steps: int
    metrics: Mapping[str, float]
    verdict: str = ""
    """Latest verdict in a few words. It is empty before the first verdict."""


class _Board:
    """Ray actor that collects the lines of all workers."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    def post(self, line: Line) -> None:
        self._lines.append(line)

    def take(self) -> list[Line]:
        lines, self._lines = self._lines, []
        return lines


@dataclass
class BoardObserver:
    """Observer of a run that posts its metrics and verdict to the board."""

    board: Any
    run: str
    total_steps: int
    verdict: str = ""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Sends the metrics and returns at once."""
        line = Line(self.run, step, self.total_steps, dict(metrics), self.verdict)
        self.board.post.remote(line)

    def judged(self, step: int, verdict: Verdict) -> None:
        """Adds the verdict to every later line."""
        onset = verdict.onset_step
        self.verdict = verdict.kind + ("" if onset is None else f" since step {onset}")

    def show(self, step: int, name: str, picture: Tensor) -> None:
        """Does nothing, because lines cannot contain pictures."""

    def flush(self) -> None:
        """Does nothing, because every line was sent at once."""

    def close(self) -> None:
        """Does nothing, because nothing is open."""


class ProgressDisplay:
    """Prints lines as they arrive: with bars on a terminal, as plain text in a pipe."""

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
        """Returns a function that makes a run's observer, on its worker."""
        return partial(BoardObserver, self.board, run, total_steps)

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
        except Exception:  # the cluster is ending, and the run reports that itself
            return
        for line in lines:
            if line.run not in self._tasks:
                self._tasks[line.run] = self._bars.add_task(line.run, total=line.total_steps)
            self._bars.update(self._tasks[line.run], completed=line.step)
            self.console.print(describe(line), highlight=False, markup=False, soft_wrap=True)


def describe(line: Line) -> str:
    """Returns one line: step, loss, probes, speed, waiting for data, time left and verdict."""
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
)


def _time_left(line: Line) -> list[str]:
    seconds_per_step = line.metrics.get("throughput/s_per_step", math.nan)
    left_s = (line.total_steps - line.step) * seconds_per_step
    if not math.isfinite(left_s):
        return []
    return [f"left {int(left_s) // 3600}:{int(left_s) // 60 % 60:02d}:{int(left_s) % 60:02d}"]
