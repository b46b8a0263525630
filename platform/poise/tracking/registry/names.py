"""Reads names, aliases and tags from a SQLite store, in milliseconds and without MLflow.

In: the first letters of a name, or the key of a tag. Out: words. Next: ``poise.cli.completion``.
"""

import os
import sqlite3
import string
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from poise.config.errors import PoiseError
from poise.config.paths import home

MOST_NAMES = 200

_LOCKED_S = 0.2  # the user waits for the names
_FILE = "sqlite:///"
_PREFIX = "poise."  # as in version.py, which loads MLflow

# MLflow keeps deleted versions. Their stage is Deleted_Internal.
_NEWEST = """
    SELECT name, version FROM model_versions
    WHERE current_stage != 'Deleted_Internal' AND substr(name || '/' || version, 1, ?) = ?
    ORDER BY creation_time DESC, version DESC LIMIT ?
"""
_ALIASES = "SELECT DISTINCT alias FROM registered_model_aliases ORDER BY alias LIMIT ?"
_TAG_VALUES = "SELECT DISTINCT value FROM model_version_tags WHERE key = ? ORDER BY value LIMIT ?"


def read_names(beginning: str = "") -> list[str]:
    """Returns names that begin with a text: models first, then versions as ``NAME/VERSION``.

    At most ``MOST_NAMES`` versions are read, the newest first.

    The list is empty if the store is a server or cannot be read.
    """
    found = _read(_NEWEST, len(beginning), beginning, MOST_NAMES)
    models = dict.fromkeys(name for name, _ in found)
    return [*models, *(f"{name}/{version}" for name, version in found)]


def read_aliases() -> list[str]:
    """Returns the aliases that versions have. The list is empty as for ``read_names``."""
    return [alias for (alias,) in _read(_ALIASES, MOST_NAMES)]


def read_tag_values(key: str) -> list[str]:
    """Returns the values of a tag of versions. The list is empty as for ``read_names``.

    Values with spaces are left out, because a shell would take their words for several arguments.
    """
    values = [value for (value,) in _read(_TAG_VALUES, f"{_PREFIX}{key}", MOST_NAMES)]
    return [value for value in values if value and not set(value) & set(string.whitespace)]


def _read(query: str, *arguments: object) -> list[tuple[str, ...]]:
    path = _file()
    if path is None or not path.is_file():
        return []
    address = f"file:{quote(str(path))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_LOCKED_S)) as store:
            return store.execute(query, arguments).fetchall()
    except sqlite3.Error:
        return []


def _file() -> Path | None:
    """Returns the store's SQLite file, or None if the environment names no such file."""
    written = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not written:
        try:
            return home() / "mlflow.db"
        except PoiseError:  # POISE_HOME is wrong: the command itself reports this
            return None
    return Path(written.removeprefix(_FILE)) if written.startswith(_FILE) else None
