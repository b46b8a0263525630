"""Finds a folder from which Ray starts safely, even if the current folder is not safe.

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
    """Lists files and folders that Python would import instead of its own modules.

    An example is ``http.py``. Ray's workers look for modules first in the folder from which Ray was
    started, and then among Python's own modules.
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
    """Leaves the current folder during the block if Ray cannot start from it.

    Such a folder was deleted, or it holds a module with the name of one of Python's own modules.
    """
    here = os.open(".", os.O_RDONLY)  # can go back even if the folder was deleted
    try:
        if is_safe():
            yield
        else:
            _say_why()
            os.chdir("/")
            with variable("PYTHONSAFEPATH", "1"):  # `python -c` must not look there either
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
