"""Shows the progress of `poise data prepare`.

In: the number of images that are done. Out: a bar on a terminal, or plain lines. Next:
``poise.cli.data``.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from poise.cli.console import is_terminal

if TYPE_CHECKING:
    from poise.data.preparation.preparation_progress import PrepareProgress

_SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def prepare_progress() -> Iterator[Callable[["PrepareProgress"], None]]:
    """Shows a bar on a terminal. Otherwise prints a line every few seconds."""
    if not is_terminal():
        yield _Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("preparing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images, {task.fields[quarantined]:,} set aside"),
        TimeRemainingColumn(),
    )
    with Bar(*columns) as bar:
        task = bar.add_task("", total=None, quarantined=0)

        def show(progress: "PrepareProgress") -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                quarantined=progress.quarantined,
            )

        yield show


class _Lines:
    """Prints plain progress lines, at most one per five seconds."""

    def __init__(self) -> None:
        self._last_line_at = time.monotonic()

    def __call__(self, progress: "PrepareProgress") -> None:
        if time.monotonic() - self._last_line_at < _SECONDS_BETWEEN_LINES:
            return
        self._last_line_at = time.monotonic()
        print(
            f"{progress.done:,} of {progress.total:,} images, {progress.quarantined:,} set aside",
            flush=True,
        )
