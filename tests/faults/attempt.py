"""One attempt at a small run, in a process of its own that a planned fault hits.

The process is forked from a server that has imported Poise, so an attempt takes a fraction of a
second. Faults hit for real: the process is killed in the middle of a file operation, the operating
system's calls fail, MLflow raises its own errors.
"""

import errno
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from poise.config import Recipe
from tests.builders import random_batch, tiny_recipe
from tests.forked import own_server

STEPS = 16
KILLED, REFUSED, LEFT = -signal.SIGKILL, 2, 128 + signal.SIGTERM

Kind = Literal[
    "none", "killed in a step", "killed at any moment", "killed in a file operation",
    "storage fails for a moment", "storage fails for good", "disk full for good",
    "MLflow fails for a while", "SIGTERM with notice", "device memory full",
]  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and when."""

    kind: Kind = "none"
    at: int = 0
    """Number of the step, file operation or call of MLflow that it hits; or the moment, in ms."""

    times: int = 1
    """Number of operations or calls that it hits."""


def recipe_in(folder: Path) -> Recipe:
    """A run of 16 steps that logs every 2 and saves every 4."""
    return tiny_recipe(
        data__dataset=str(folder / "dataset"),
        training__epochs=STEPS // 4,
        training__storage_patience_minutes=0.05,  # two failures take 1.5 s
    )


_PRELOADED = "tests.faults.preloaded"
_processes = get_context("forkserver")


def forked_fast() -> AbstractContextManager[None]:
    """Attempts within this context are forked from a server that has imported Poise."""
    return own_server(_PRELOADED)


def attempt(home: Path, name: str, fault: Fault = Fault()) -> int:
    """Carries out a run, or the rest of it, and returns the process's exit status."""
    process = _processes.Process(target=_carry_out, args=(home, name, fault))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def was_hit(home: Path, name: str) -> bool:
    """Whether the fault came before the run had ended."""
    return (home / f"{name}.hit").exists()


def last_step(home: Path, name: str) -> int:
    """The last step that any attempt finished."""
    return int((home / f"{name}.step").read_text() or 0)


def _carry_out(home: Path, name: str, fault: Fault) -> None:
    assert _PRELOADED in sys.modules, "this attempt imports Poise anew; use forked_fast()"
    os.environ["POISE_HOME"] = str(home)
    (home / "scratch").mkdir(exist_ok=True)
    tempfile.tempdir = str(home / "scratch")
    from poise.config.errors import PoiseError
    from poise.config.locations import Location
    from poise.tracking.ending import controlled, reconcile
    from poise.tracking.run import create_run
    from poise.tracking.store import open_store
    from poise.training.in_process import fit_in_process
    from poise.training.spec import RunSpec

    store = open_store(f"sqlite:///{home}/mlflow.db")
    reconcile(store)
    run = create_run(store, "faults", name, home / name)
    recipe = recipe_in(home.parent)
    try:
        with controlled(run):
            _stream_without_ray()
            _count_steps(home / f"{name}.step")
            _HIT.plan(fault, home / f"{name}.hit")
            _plan(fault.kind, home)
            fit_in_process(RunSpec(recipe, name, Location.of(home), [run.open_writer]))
    except PoiseError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)


def _stream_without_ray() -> None:
    """Gives batches that depend on the step alone, as those of Ray Data do.

    So an attempt needs no Ray. The order of real images has tests of its own.
    """
    from poise.training import on_worker

    def stream(recipe: Recipe, rank: int, size: int, start_step: int, *rest: Any) -> Iterator[Any]:
        for step in range(start_step, STEPS):
            yield random_batch(recipe, seed=step)

    setattr(on_worker, "view_stream", stream)  # noqa: B010  it is imported there


def _count_steps(file: Path) -> None:
    """Writes each finished step to a file, as a witness outside the run."""
    from poise.training import on_worker
    from poise.training.loop import train_steps

    real = train_steps
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)

    def counted(*arguments: Any) -> Iterator[Any]:
        for report in real(*arguments):
            os.pwrite(descriptor, f"{report.step:06}".encode(), 0)
            _HIT.step(report.step)
            yield report

    setattr(on_worker, "train_steps", counted)  # noqa: B010


class _Hits:
    """Counts what happens, and lets the fault hit."""

    def plan(self, fault: Fault, witness: Path) -> None:
        self.fault, self.count, self.witness = fault, 0, witness
        if fault.kind == "killed at any moment":
            witness.touch()
            signal.setitimer(signal.ITIMER_REAL, fault.at / 1000)  # SIGALRM kills at once

    def step(self, step: int) -> None:
        if step != self.fault.at or self.fault.kind not in _AT_STEPS:
            return
        self.witness.touch()
        _AT_STEPS[self.fault.kind]()

    def is_hit(self) -> bool:
        """Counts one more, and returns whether it is hit."""
        self.count += 1
        hit = 0 <= self.count - self.fault.at < self.fault.times
        if hit:
            os.close(os.open(self.witness, os.O_CREAT))
        return hit


_HIT = _Hits()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _give_notice() -> None:
    from poise.training.stop_request import HERE

    HERE.give("SIGTERM")


def _fill_memory() -> None:
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


_AT_STEPS: dict[str, Callable[[], None]] = {
    "killed in a step": _kill,
    "SIGTERM with notice": _give_notice,
    "device memory full": _fill_memory,
}


def _plan(kind: Kind, home: Path) -> None:
    if kind == "killed in a file operation":
        _at_files(home, _kill)
    elif kind in ("storage fails for a moment", "storage fails for good"):
        _at_files(home, lambda: _fail(errno.EIO))
    elif kind == "disk full for good":
        _at_files(home, lambda: _fail(errno.ENOSPC))
    elif kind == "MLflow fails for a while":
        _at_mlflow()


def _fail(code: int) -> None:
    raise OSError(code, os.strerror(code))


def _at_files(home: Path, hit: Any) -> None:
    """Calls ``hit`` in file operations on checkpoints, which Python announces to an audit hook."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FILE_EVENTS and _is_checkpoint(arguments, home) and _HIT.is_hit():
            hit()

    sys.addaudithook(hear)


_FILE_EVENTS = {"open", "os.rename", "os.mkdir", "shutil.copyfile", "shutil.copytree"}


def _is_checkpoint(arguments: Iterable[Any], home: Path) -> bool:
    places = ("checkpoint_", f"{home}/scratch/")
    return any(isinstance(each, str) and any(p in each for p in places) for each in arguments)


def _at_mlflow() -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    real = MlflowClient.log_batch

    def log_batch(*arguments: Any, **options: Any) -> Any:
        if _HIT.is_hit():
            raise MlflowException("the database is away")
        return real(*arguments, **options)

    MlflowClient.log_batch = log_batch
