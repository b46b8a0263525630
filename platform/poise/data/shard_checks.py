"""Checks that the shards of a dataset have not changed since it was prepared.

In: a folder and its manifest. Out: nothing, or an error that names the changed shard. Next:
``poise.training.datasets``, which records the dataset's fingerprint. The fingerprint of changed
shards would be wrong.

The manifest is written after the shards. So a shard that is newer than the manifest was changed, or
the folder was copied. Only such shards are read.
"""

import hashlib

from poise.config.errors import PoiseError
from poise.config.locations import AnyLocation, Location
from poise.data.manifest import MANIFEST_FILE, Manifest

_SHOWN_CHARACTERS = 12

_unchanged: set[tuple[str, int, int, str]] = set()
"""Shards that this process has already checked: path, size, time of the last change, and SHA-256.
"""


def check_shards(folder: AnyLocation, manifest: Manifest) -> None:
    """Raises an error if a shard on this machine does not have the SHA-256 in the manifest.

    Shards in object storage are not checked, because the check would download all of them.

    Raises:
        PoiseError: a shard has another SHA-256 than in the manifest.
    """
    place = Location.of(folder)
    if not place.is_local:
        return
    written = (place.local / MANIFEST_FILE).stat().st_mtime_ns
    for shard in manifest.shards:
        file = place.local / shard.file  # opening the dataset reports a missing shard
        if not file.is_file() or (found := file.stat()).st_mtime_ns <= written:
            continue
        key = (str(file), found.st_size, found.st_mtime_ns, shard.sha256)
        if key not in _unchanged:
            _check_content(place, shard.file, shard.sha256)
            _unchanged.add(key)


def _check_content(place: Location, name: str, expected: str) -> None:
    with (place.local / name).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise PoiseError(
            f"{place / name}: was changed since the dataset was prepared (SHA-256 "
            f"{_short(expected)} then, {_short(found)} now); restore it, or prepare the dataset "
            "again in another folder"
        )


def _short(digest: str) -> str:
    return digest[:_SHOWN_CHARACTERS]
