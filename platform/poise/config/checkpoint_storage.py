"""Finds the place where the checkpoints of runs and studies are stored.

In: the variable ``POISE_STORAGE``, and the folder of a run or a study. Out: the ``Location`` that
contains its checkpoints. Next: ``poise.runs`` and ``poise.sweeps``.

If ``POISE_STORAGE`` is set, checkpoints are written there and not into the folder of the run.
Recipes, records and the lock of a run always stay in its folder under ``home()``. These files are
small, and object storage has no locks.
"""

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from poise.config.errors import PoiseError, one_line
from poise.config.files import read_fields, write_json
from poise.config.locations import Location
from poise.config.paths import home

STORAGE_FILE = "storage.json"
"""File in the folder of a run or a study. It contains the location of the checkpoints."""

VARIABLE = "POISE_STORAGE"


def keep_storage(folder: Path) -> None:
    """Records where a new run or study stores its checkpoints, if ``POISE_STORAGE`` is set.

    A resumed run reads this record, so ``POISE_STORAGE`` may have changed since. If the storage
    cannot be used, the new folder is deleted, so that its name stays free.

    Raises:
        PoiseError: the storage cannot be written to, or it already has checkpoints of this name.
    """
    written = os.environ.get(VARIABLE)
    if not written:
        return
    try:
        _keep(written, folder)
    except BaseException:
        with suppress(OSError):  # another process may have written to the folder
            folder.rmdir()
        raise


def _keep(written: str, folder: Path) -> None:
    storage = Location.of(written).absolute()
    place = storage / folder.name
    if place.names():
        raise PoiseError(
            f"{VARIABLE}={storage}: it has checkpoints of another '{folder.name}'; choose another "
            "--name, or delete them"
        )
    try:
        (place / STORAGE_FILE).write_text("{}\n")  # fails now, and not after hours
    except OSError as error:
        raise PoiseError(
            f"{VARIABLE}={storage}: cannot be written ({error.strerror or error}); name another "
            "place, or make it writable"
        ) from None
    write_json(folder / STORAGE_FILE, {"storage": str(storage)})


def storage_fault() -> str | None:
    """Writes a small file to ``POISE_STORAGE`` and deletes it.

    Returns:
        The reason why this process cannot write to the storage. None if it can write, or if
        ``POISE_STORAGE`` is not set.
    """
    written = os.environ.get(VARIABLE)
    if not written:
        return None
    trial = Location.of(written).absolute() / f".poise-check-{token_hex(8)}"
    try:
        trial.write_text("{}\n")
        trial.delete()
    except (OSError, PoiseError) as error:
        return one_line(error, 300)
    return None


def new_folders() -> list[Path]:
    """Returns the folders of this machine in which new runs and studies are stored.

    ``POISE_STORAGE`` is one of them if it is no object storage.
    """
    written = os.environ.get(VARIABLE)
    storage = Location.of(written).absolute() if written else Location.of(home())
    return [home(), *storage.folders_here]


def folders_of_run(name: str) -> list[Path]:
    """Returns the folders of this machine that contain the files of a run, trial or study.

    Args:
        name: name of a run or study, or ``STUDY/TRIAL`` for a trial.
    """
    return [home() / name, *checkpoints_of(name).folders_here]


def checkpoint_storage(name: str) -> Location:
    """Returns the location that contains the folder ``name`` with a run's checkpoints.

    Args:
        name: name of a run, or ``STUDY/TRIAL`` for a trial.
    """
    folder = home() / name
    for each in (folder, *folder.parents):
        if each == home():
            break
        if (each / STORAGE_FILE).is_file():
            return Location.of(_kept(each / STORAGE_FILE))
    return Location(None, str(home()))


def _kept(path: Path) -> str:
    fix = (
        'write {"storage": "URI"} into it with the place of the checkpoints, or delete it if they '
        "are in its folder"
    )
    return str(read_fields(path, fix, storage=str)["storage"])


def checkpoints_of(name: str) -> Location:
    """Returns the folder with the checkpoints of a run, or of a trial ``STUDY/TRIAL``."""
    return checkpoint_storage(name) / name
