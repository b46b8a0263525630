"""Finds out whether other machines share folders with this machine.

In: folders of this machine. Out: marker files in them, and the folders whose markers another
machine does not see. Next: ``poise.runs`` and ``poise.sweeps``, whose workers look for the markers,
and the checks before a job is sent.

A folder of the same name may exist on every machine, each on its own disk. So the check needs a
file that was just written.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from poise.config.errors import PoiseError, first_few

Marks = tuple[str, ...]
"""Paths of marker files. They can be sent to another machine."""


@contextmanager
def marked(folders: Iterable[Path]) -> Iterator[Marks]:
    """Keeps a small file in each folder during the block. Missing folders are created.

    Raises:
        OSError: a folder cannot be written.
    """
    name = f".poise-check-{token_hex(8)}"
    marks = [folder / name for folder in dict.fromkeys(folders)]
    try:
        for mark in marks:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        yield tuple(map(str, marks))
    finally:
        for mark in marks:
            with suppress(OSError):
                mark.unlink()


def unseen(marks: Marks) -> list[str]:
    """Returns the folders whose markers this process does not see."""
    return [str(Path(mark).parent) for mark in marks if not Path(mark).exists()]


def check_shared(marks: Marks, node: str) -> None:
    """Checks that this process sees the files that another process wrote.

    Without this check, a node would create the folders on its own disk, and write results there
    that no other node finds.

    Args:
        marks: files that the other process keeps.
        node: name of this node, for the message.

    Raises:
        PoiseError: this process does not see one of them.
    """
    folders = unseen(marks)
    if folders:
        raise not_shared(folders[0], [node])


def not_shared(folder: str, nodes: list[str]) -> PoiseError:
    """Makes the error about a folder that some nodes do not share."""
    return PoiseError(
        f"{folder}: is not shared: what the command writes there is not seen by "
        f"{first_few(nodes)}; set POISE_HOME to storage that every node reaches, and POISE_STORAGE "
        "to such a folder or to a URI"
    )
