"""Names the folders in which fetched versions are kept on this machine.

In: a store and a version. Out: a folder ``POISE_HOME/models/NAME/VERSION-STORE-PACKAGE``. Next:
``poise.tracking.registry.fetch`` and ``poise.tracking.registry.unused``.

Two stores may have different models with one name, and a store may be made anew at an old address.
So the folder's name ends in a digest of the store's address and a digest of the place of the files.
"""

import re
from collections.abc import Collection, Iterator
from hashlib import sha256
from pathlib import Path

from poise.config.paths import home
from poise.config.redaction import redacted
from poise.tracking.registry.version import Version
from poise.tracking.registry.version_lookup import location_of
from poise.tracking.store import Store

_FOLDER = "models"
_DIGITS = 8


def copies_folder() -> Path:
    """Returns the folder that contains the copies of all versions."""
    return home() / _FOLDER


def copy_folder(store: Store, version: Version) -> Path:
    """Returns the folder for the copy of a version."""
    place = _digest(location_of(store, version))
    return copies_folder() / version.name / f"{version.version}-{_digest(store.uri)}-{place}"


def lost_copies(store: Store, versions: Collection[Version]) -> Iterator[tuple[str, Path]]:
    """Yields copies that no version of a store uses, as the version's short name and the folder.

    Copies from other stores are left out. Older versions of Poise named a folder by the version
    alone. Such a copy is no longer used.

    Args:
        store: store whose copies are examined.
        versions: all versions of the store.
    """
    used = {copy_folder(store, version) for version in versions}
    name = re.compile(rf"(\d+)(-{_digest(store.uri)}-[0-9a-f]+)?")
    for folder in sorted(copies_folder().glob("*/*")):
        match = name.fullmatch(folder.name)
        if match and folder.is_dir() and folder not in used:
            yield f"{folder.parent.name}/{match[1]}", folder


def _digest(address: str) -> str:
    # A digest of a password would help to guess it.
    return sha256(redacted(address).encode()).hexdigest()[:_DIGITS]
