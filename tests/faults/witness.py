"""What the workers of a run did, written down outside the run.

In: the training of each worker of Ray Train. Out: a line for each step, with the worker's process.
Next: ``tests.faults.cluster_arena`` reads the lines, to hit a process and to count lost steps.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from poise.training.run_mailbox import Mailbox
from poise.training.spec import RunSpec
from poise.training.worker import _train as trains
from tests.waiting import wait_until

_STEP_S = 0.1
"""Pause in seconds after each step. Without it, a run would be over before a fault hits."""


@dataclass(frozen=True)
class Line:
    """A step that a worker finished."""

    step: int
    rank: int
    pid: int


@dataclass(frozen=True)
class Trace:
    """The lines of all attempts at one run."""

    file: Path

    @property
    def lines(self) -> list[Line]:
        """All lines, in the order in which they were written."""
        text = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
        return [Line(**json.loads(line)) for line in text.splitlines()]

    def reached(self, step: int) -> bool:
        """Whether a worker has finished the step."""
        return any(line.step >= step for line in self.lines)

    def process(self, rank: int) -> int:
        """Id of the process that was worker ``rank`` last."""
        return next(line.pid for line in reversed(self.lines) if line.rank == rank)

    @property
    def lost(self) -> int:
        """Number of steps that were trained more than once."""
        steps = [line.step for line in self.lines if line.rank == 0]
        return len(steps) - len({*steps})


def witnessed(file: Path, hangs_at: int, spec: RunSpec, mailbox: Mailbox) -> str | None:
    """Trains as ``worker._train``, slowly, and writes each step down.

    It has the same last parameters: Ray Train would fill another one with its own settings.
    """
    from poise.training import on_worker

    patched: Any = on_worker
    real_steps, real_stream = patched.train_steps, patched.view_stream

    def steps(timetable: Any, state: Any, batches: Any, model: Any, rank: int, *rest: Any) -> Any:
        for report in real_steps(timetable, state, batches, model, rank, *rest):
            time.sleep(_STEP_S)
            _write(file, Line(report.step, rank, os.getpid()))
            wait_until(partial(_goes_on, file, report.step))
            yield report

    def stream(recipe: Any, rank: int, size: int, start: int, *rest: Any) -> Iterator[Any]:
        for step, batch in enumerate(real_stream(recipe, rank, size, start, *rest), start + 1):
            if step == hangs_at and rank == size - 1:
                time.sleep(3600)
            yield batch

    patched.train_steps, patched.view_stream = steps, stream
    try:
        return trains(spec, mailbox)
    finally:
        patched.train_steps, patched.view_stream = real_steps, real_stream


def hold_file(file: Path) -> Path:
    """File with the step after which the workers wait, as long as the file exists."""
    return file.with_suffix(".hold")


def _goes_on(file: Path, step: int) -> bool:
    try:
        return int(hold_file(file).read_text(encoding="utf-8")) != step
    except FileNotFoundError:
        return True


def _write(file: Path, line: Line) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, f"{json.dumps(asdict(line))}\n".encode())  # one call: lines stay whole
    os.close(descriptor)
