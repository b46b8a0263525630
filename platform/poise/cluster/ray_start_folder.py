"""Finds a folder from which Ray can start, if it cannot start from the current folder.

In: the current folder. Out: the same folder, or the root folder while Ray starts. Next:
``poise.cluster.connection``.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

logger = logging.getLogger(__name__)


def shadows(folder: Path) -> list[str]:
    """Lists files and folders that Python would import instead of modules of its own library.

    An example is ``http.py``. Ray's workers look for modules first in the folder from which Ray was
    started, and only then in Python's library.
    """
    names = sys.stdlib_module_names
    return sorted(
        path.name
        for path in folder.iterdir()
        if (path.suffix == ".py" and path.stem in names)
        or (path.name in names and (path / "__init__.py").is_file())
    )


@contextmanager
def neutral_folder() -> Iterator[None]:
    """Changes to another folder during the block, if Ray cannot start from the current one.

    Ray cannot start from a folder that was deleted. It also cannot start from a folder that
    contains a file with the name of a module of Python's library, such as ``random.py``.
    """
    here = os.open(".", os.O_RDONLY)  # can go back even if the folder was deleted
    try:
        if is_safe():
            yield
        else:
            _say_why()
            os.chdir("/")
            with variable("PYTHONSAFEPATH", "1"):  # `python -c` must not import from there
                yield
    finally:
        os.fchdir(here)
        os.close(here)


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Sets an environment variable of this process during the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def is_safe() -> bool:
    """Returns True if Ray can start from the current folder."""
    try:
        return not shadows(Path.cwd())
    except OSError:
        return False


def _say_why() -> None:
    with suppress(OSError):
        logger.info(
            "%s in the current folder would take the place of Python's own: Ray's processes will "
            "not look for modules there", ", ".join(shadows(Path.cwd())),
        )  # fmt: skip
