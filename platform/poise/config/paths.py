"""The folders of runs, the names that runs may have, and paths that people write."""

import os
import re
import secrets
import time
from pathlib import Path

from poise.config.base import NAME_PATTERN
from poise.config.errors import PoiseError, did_you_mean, first_few

RECIPE_FILE = "recipe.yaml"
"""The file in a run's folder that holds the recipe it began with."""

_TAKEN = ("artifacts", "models", "imports", "downloads", "mlflow.db")
"""Names of the other things that ``home()`` holds."""


def given_path(text: str | Path, source: str = "") -> Path:
    """A path that a person wrote, with a leading ``~`` replaced by the home folder.

    A shell replaces ``~`` only outside quotes and only at the start of a word, so it reaches
    Poise in quoted values, in files and after ``=``.

    Args:
        text: the path.
        source: place where it was written, such as ``POISE_HOME=~/runs``, for the error's message.

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
    """The current folder.

    Raises:
        PoiseError: it was deleted while a shell or a process stood in it.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise PoiseError("the current folder was deleted; change to another with `cd`") from None


def home() -> Path:
    """The folder of runs, checkpoints and the default MLflow store.

    ``POISE_HOME``, else ``runs`` in the current folder. The path is always absolute, because
    workers have other current folders. On several machines it must be storage that all of them
    reach.

    Raises:
        PoiseError: the path is relative and the current folder was deleted.
    """
    written = os.environ.get("POISE_HOME") or "runs"
    path = given_path(written, f"POISE_HOME={written}")
    return path if path.is_absolute() else current_folder() / path


def new_name(stem: str) -> str:
    """A name for a new run or study: what it is of, the time, and something random."""
    return f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def claim_folder(name: str, resume: str) -> Path:
    """Makes the folder of a new run or study. Making it is the claim: only one process can.

    Args:
        name: the name of the run or study.
        resume: the command that finishes one of this name, for the error.

    Raises:
        PoiseError: the name is taken, or the folder cannot be made.
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
    """The error about a name that a run or study has already.

    Args:
        folder: the folder of that name.
        resume: the command that finishes what is there.
    """
    return PoiseError(
        f"{folder}: there is a run or study of this name; finish it with `{resume}`, or choose "
        "another --name"
    )


def unknown(asking: str, kind: str, marker: str) -> PoiseError:
    """The error about a name that no run or study has.

    Args:
        asking: the option and the name: ``--resume lost``.
        kind: kind of thing that was looked for: ``run``, ``study``.
        marker: the file that everything of this kind has in its folder.
    """
    known = sorted(path.parent.name for path in home().glob(f"*/{marker}"))
    name = asking.rpartition(" ")[2]
    holds = did_you_mean(name, known, f"it holds {first_few(known) or 'none'}")
    return PoiseError(f"{asking}: {home()} holds no such {kind}; {holds}")


def check_run_name(name: str) -> None:
    """Refuses a name of a run or study that could not be its folder under ``home()``.

    Raises:
        PoiseError: the name has characters that a recipe's name may not have, or is taken.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise PoiseError(
            f"--name {name!r}: a name has at most 100 letters, digits, '.', '_' and '-'; it begins "
            "with a letter or a digit"
        )
    if name in _TAKEN or name.startswith("mlflow.db-"):
        raise PoiseError(f"--name {name}: {home()} keeps something else under it; choose another")
