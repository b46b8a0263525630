"""Commands in processes of their own, as a person starts, interrupts and resumes them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_until

Start = Callable[..., subprocess.Popen[str]]


@contextmanager
def starting(command: str, folder: Path) -> Iterator[Start]:
    """Gives what starts ``poise COMMAND`` in a folder, its runs within; ends what is left.

    Each process has a session of its own, as in a terminal: Ctrl-C can reach all of it at once
    (``os.killpg``), or the command alone.
    """
    started: list[subprocess.Popen[str]] = []

    def start(
        *words: object, home: Path | None = None, errors: int = subprocess.STDOUT
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "poise.cli.main", command, *map(str, words)],
            env=os.environ | {"POISE_HOME": str(home or folder / "runs"), "OMP_NUM_THREADS": "1"},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Fails the test, with what was printed, where the process ends before the condition holds."""
    wait_until(lambda: condition() or process.poll() is not None)
    if not condition():
        pytest.fail(f"the command did not get there:\n{process.communicate()[0]}")
