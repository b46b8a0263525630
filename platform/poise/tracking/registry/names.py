"""Reads names of registered versions from a SQLite store, in milliseconds and without MLflow.

In: the first letters of a name. Out: names. Next: ``poise.cli.completion``.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from poise.config.paths import home

MOST_NAMES = 200

_LOCKED_S = 0.2  # the user waits for the names
_FILE = "sqlite:///"

# MLflow keeps deleted versions. Their stage is Deleted_Internal.
_NEWEST = """
    SELECT name, version FROM model_versions
    WHERE current_stage != 'Deleted_Internal' AND substr(name || '/' || version, 1, ?) = ?
    ORDER BY creation_time DESC, version DESC LIMIT ?
"""


def read_names(beginning: str = "") -> list[str]:
    """Returns names that begin with a text: models first, then versions as ``NAME/VERSION``.

    At most ``MOST_NAMES`` versions are read, the newest first.

    The list is empty if the store is a server or cannot be read.
    """
    path = _file()
    if path is None or not path.is_file():
        return []
    address = f"file:{quote(str(path))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_LOCKED_S)) as store:
            arguments = (len(beginning), beginning, MOST_NAMES)
            found = store.execute(_NEWEST, arguments).fetchall()
    except sqlite3.Error:
        return []
    models = dict.fromkeys(name for name, _ in found)
    return [*models, *(f"{name}/{version}" for name, version in found)]


def _file() -> Path | None:
    """Returns the store's SQLite file, or None if ``MLFLOW_TRACKING_URI`` names no such file."""
    written = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not written:
        return home() / "mlflow.db"
    return Path(written.removeprefix(_FILE)) if written.startswith(_FILE) else None
