"""Folders of runs, names that runs may have, and paths that users write."""

import os
import re
import secrets
import time
from pathlib import Path

from poise.config.base import NAME_PATTERN
from poise.config.errors import PoiseError, did_you_mean, first_few

RECIPE_FILE = "recipe.yaml"
"""File in a run's folder with the recipe of the run's start."""

_TAKEN = ("artifacts", "models", "imports", "downloads", "mlflow.db")
"""Names in ``home()`` that no run may have, because other things use them."""


def given_path(text: str | Path, source: str = "") -> Path:
    """Reads a path that a user wrote, and replaces a leading ``~`` by the home folder.

    A shell replaces ``~`` only outside quotes and at the start of a word. So paths in quotes, in
    files and after ``=`` still contain it.

    Args:
        text: path.
        source: origin of the path, such as ``POISE_HOME=~/runs``, for the error's message.

    Raises:
        PoiseError: ``~name`` names a user who does not exist.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise PoiseError(
            f"{source or text}: there is no home folder for '{Path(text).parts[0]}'; "
            "write the whole path"
        ) from None


def current_folder() -> Path:
    """Returns the current folder.

    Raises:
        PoiseError: the folder was deleted while the process or its shell used it.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise PoiseError("the current folder was deleted; change to another with `cd`") from None


def home() -> Path:
    """Returns the folder of runs, checkpoints and the default MLflow store.

    It is ``POISE_HOME``, or ``runs`` in the current folder if that is not set. The path is always
    absolute, because workers have other current folders. On several machines it must be shared
    storage.

    Raises:
        PoiseError: the path is relative and the current folder was deleted.
    """
    written = os.environ.get("POISE_HOME") or "runs"
    path = given_path(written, f"POISE_HOME={written}")
    return path if path.is_absolute() else current_folder() / path


def new_name(stem: str) -> str:
    """Makes a name for a new run or study: a stem, the time, and random characters."""
    return f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def claim_folder(name: str, resume: str) -> Path:
    """Creates the folder of a new run or study.

    Only one process can create it, so it reserves the name.

    Args:
        name: name of the run or study.
        resume: command that resumes a run or study of this name, for the error.

    Raises:
        PoiseError: the name is taken, or the folder cannot be created.
    """
    folder = home() / name
    try:
        home().mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except FileExistsError:
        raise taken(folder, resume) from None
    except OSError as error:
        raise PoiseError(
            f"{folder}: cannot be made ({error.strerror}); set POISE_HOME to a folder of yours"
        ) from None
    return folder


def taken(folder: Path, resume: str) -> PoiseError:
    """Makes the error about a name that another run or study has.

    Args:
        folder: folder of that name.
        resume: command that resumes that run or study.
    """
    return PoiseError(
        f"{folder}: there is a run or study of this name; finish it with `{resume}`, or choose "
        "another --name"
    )


def unknown(asking: str, kind: str, marker: str) -> PoiseError:
    """Makes the error about a name that no run or study has.

    Args:
        asking: option and name, such as ``--resume lost``.
        kind: kind of thing that was looked for: ``run``, ``study``.
        marker: file that every folder of this kind contains.
    """
    known = sorted(path.parent.name for path in home().glob(f"*/{marker}"))
    name = asking.rpartition(" ")[2]
    holds = did_you_mean(name, known, f"it holds {first_few(known) or 'none'}")
    return PoiseError(f"{asking}: {home()} holds no such {kind}; {holds}")


def check_run_name(name: str) -> None:
    """Refuses a name of a run or study that cannot be the name of its folder in ``home()``.

    Raises:
        PoiseError: the name has characters that a recipe's name may not have, or other things use
            it.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise PoiseError(
            f"--name {name!r}: a name has at most 100 letters, digits, '.', '_' and '-'; it begins "
            "with a letter or a digit"
        )
    if name in _TAKEN or name.startswith("mlflow.db-"):
        raise PoiseError(f"--name {name}: {home()} keeps something else under it; choose another")
