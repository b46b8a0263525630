"""Downloads models from object storage, and stores them on this machine.

In: the location of a package, a Hugging Face folder or a checkpoint file. Out: a path on this
machine. Next: ``poise.models.package`` and ``poise.models.published.sources``.
"""

import shutil
from hashlib import sha256
from pathlib import Path

from poise.config.errors import PoiseError
from poise.config.local_files import unused_name
from poise.config.locations import AnyLocation, Location
from poise.config.paths import home
from poise.models.checksums import CONFIG_FILE

FOLDER = Path("downloads", "models")
"""Folder under ``home()`` for downloaded models. The name of each subfolder is a hash of the
model's location, sizes and times.
"""


def is_remote(reference: str | Path) -> bool:
    """Returns True if a model's name is the URI of an object storage. ``models:/NAME`` is not."""
    return "://" in str(reference) and not Location.of(reference).is_local


def fetched(reference: AnyLocation) -> Path:
    """Returns the path of a model on this machine. A model in object storage is downloaded once.

    Subfolders are not downloaded.

    Raises:
        PoiseError: there is no such file or folder, or it is not a model.
    """
    place = Location.of(reference)
    if place.is_local:
        return place.local
    names = [] if place.is_file() else [*place.files()]
    files = {name: place / name for name in names} if names else _alone(place)
    if place.name not in files and CONFIG_FILE not in files:
        raise PoiseError(f"{place}: has no {CONFIG_FILE}, so it is not the folder of a model")
    stamps = "\n".join(f"{file}\t{file.status().stamp}" for file in files.values())
    folder = home() / FOLDER / sha256(stamps.encode()).hexdigest()[:16] / place.name
    if not folder.exists():
        _fetch(files, folder)
    return folder / place.name if place.name in files else folder


def _alone(place: Location) -> dict[str, Location]:
    place.status()  # raises an error if the file is missing
    return {place.name: place}


def _fetch(files: dict[str, Location], folder: Path) -> None:
    """Downloads files to a folder. The folder appears only when all files are complete."""
    partial = unused_name(folder)
    partial.mkdir(parents=True, exist_ok=True)
    try:
        for name, file in files.items():
            file.download(partial / name)
        partial.rename(folder)
    except OSError as error:
        if not folder.exists():  # else another process was faster
            raise PoiseError(f"{folder}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
