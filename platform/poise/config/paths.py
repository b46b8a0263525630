"""Finds the folders of runs, and checks the names and paths that users write."""

import os
import re
import secrets
import time
from pathlib import Path

from poise.config.base import NAME_PATTERN
from poise.config.errors import PoiseError, did_you_mean, first_few

RECIPE_FILE = "recipe.yaml"
"""File in a run's folder. It contains the recipe that the run started with."""

STUDY_FILE = "study.json"
"""File in a study's folder. It contains the plan of the study."""

UNTRAINED = "untrained:"
"""First part of the name of a model with random weights. The name of an architecture follows."""

_TAKEN = ("artifacts", "models", "imports", "downloads", "mlflow.db")
"""Names in ``home()`` that no run may have, because Poise and MLflow store other things there."""


def given_path(text: str | Path, source: str = "") -> Path:
    """Reads a path that a user wrote, and replaces a leading ``~`` by the home folder.

    A shell replaces ``~`` only outside quotes and at the start of a word. So ``~`` remains in
    quoted paths, in files and after ``=``.

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

    The folder is ``POISE_HOME``, or ``runs`` in the current folder if the variable is not set. The
    path is always absolute, because workers have other current folders. If a run uses several
    machines, the folder must be on shared storage.

    Raises:
        PoiseError: ``POISE_HOME`` is a URI or not UTF-8. Or it is relative, and the current folder
            was deleted.
    """
    written = os.environ.get("POISE_HOME") or "runs"
    if "://" in written:  # the error does not show it: it may contain a password
        raise PoiseError(
            "POISE_HOME: is a URI, and runs are kept in a folder; set it to a path that every "
            "machine reaches, and set POISE_STORAGE to the URI, where checkpoints are then kept"
        )
    path = given_path(written, f"POISE_HOME={written}")
    try:
        written.encode("utf-8")
    except UnicodeEncodeError:
        raise PoiseError(
            "POISE_HOME: is not UTF-8, which MLflow's store and the records of runs need; set it "
            "to another folder"
        ) from None
    return path if path.is_absolute() else current_folder() / path


def new_name(stem: str) -> str:
    """Makes a name for a new run or study: a stem, the time, and random characters."""
    return f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def claim_folder(name: str, resume: str) -> Path:
    """Creates the folder of a new run or study.

    Only one process can create the folder. So the folder reserves the name.

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


def has_begun(folder: Path) -> bool:
    """Returns True if a folder contains the file that resuming its run or study needs."""
    return any((folder / name).exists() for name in (RECIPE_FILE, STUDY_FILE))


def taken(folder: Path, resume: str) -> PoiseError:
    """Makes the error about a name that is in use.

    Args:
        folder: folder of that name.
        resume: command that resumes the run or study of that name.
    """
    if not has_begun(folder):
        return PoiseError(
            f"{folder}: exists, but has no recipe and no study to resume. Another process is just "
            "beginning it, or was killed while it began. If none is, delete the folder, or choose "
            "another --name"
        )
    return PoiseError(
        f"{folder}: there is a run or study of this name; finish it with `{resume}`, or choose "
        "another --name"
    )


def unknown(asking: str, kind: str, marker: str) -> PoiseError:
    """Makes the error about a name that no run or study has.

    Args:
        asking: option and name, such as ``--resume lost``.
        kind: ``run`` or ``study``.
        marker: file that every folder of this kind contains.
    """
    known = sorted(path.parent.name for path in home().glob(f"*/{marker}"))
    name = asking.rpartition(" ")[2]
    holds = did_you_mean(name, known, f"it holds {first_few(known) or 'none'}")
    return PoiseError(f"{asking}: {home()} holds no such {kind}; {holds}")


def check_on_this_machine(path: Path) -> None:
    """Refuses a URI where a path on this machine is needed.

    ``Path`` has already changed the two slashes of the URI to one. Without this check, Poise would
    create a folder with the name ``s3:``.

    Raises:
        PoiseError: the path begins like a URI.
    """
    if re.match(r"[a-z][a-z0-9+.-]+:/", str(path)):
        raise PoiseError(
            f"{path}: is written to this machine; name a path here, and copy it to the storage then"
        )


def check_run_name(name: str) -> None:
    """Refuses a name of a run or study that cannot be the name of its folder in ``home()``.

    Raises:
        PoiseError: the name has characters that names may not have, or Poise uses the name itself.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise PoiseError(
            f"--name {name!r}: a name has at most 100 letters, digits, '.', '_' and '-'; it begins "
            "with a letter or a digit"
        )
    if name in _TAKEN or name.startswith("mlflow.db-"):
        raise PoiseError(f"--name {name}: {home()} keeps something else under it; choose another")
