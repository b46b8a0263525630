"""A folder from which Ray starts safely, whatever the current one holds.

In: the current folder. Out: the same, or the root folder while Ray starts. Next:
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
    """Files and folders that Python would import in place of its own modules: ``http.py``.

    Ray's workers look for modules in the folder that Ray was started from before they look among
    Python's own.
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
    """Leaves the current folder until the block ends, where Ray could not start from it.

    Such a folder was deleted, or holds a module that takes the place of one of Python's own.
    """
    here = os.open(".", os.O_RDONLY)  # leads back even into a folder that was deleted
    try:
        if is_safe():
            yield
        else:
            _say_why()
            os.chdir("/")
            with variable("PYTHONSAFEPATH", "1"):  # nor is it looked at by `python -c`
                yield
    finally:
        os.fchdir(here)
        os.close(here)


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Sets a variable of this process until the block ends."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def is_safe() -> bool:
    """Whether Ray can start from the current folder."""
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
