"""Files of a backbone package and their checksums.

In: a package's folder. Out: sizes and checksums of its files, and the names of damaged files. Next:
``poise.models.package``, and the registry, which checks packages without importing torch.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from poise.config.errors import PoiseError

WEIGHTS_FILE = "backbone.safetensors"
CONFIG_FILE = "config.json"
CHECKSUMS_FILE = "checksums.json"


def write_checksums(folder: Path) -> None:
    """Writes ``checksums.json`` with the checksums of all files in a folder."""
    checksums = {path.name: _describe(path) for path in sorted(folder.iterdir())}
    (folder / CHECKSUMS_FILE).write_text(json.dumps(checksums, indent=2) + "\n")


def verify_package(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Compares every file with its checksum in ``checksums.json``.

    Returns:
        ``bytes`` and ``sha256`` of each file.

    Raises:
        PoiseError: the folder is not a package, or a file is missing or was changed.
    """
    damaged = damaged_files(folder)
    if damaged:
        raise PoiseError(
            f"{folder}: {', '.join(damaged)}: missing, or not what {CHECKSUMS_FILE} describes; "
            "get the package again"
        )
    return read_checksums(folder)


def damaged_files(folder: str | Path) -> list[str]:
    """Lists files that are missing, or whose SHA-256 differs from ``checksums.json``."""
    folder = Path(folder)
    return [
        name
        for name, expected in read_checksums(folder).items()
        if not (folder / name).is_file() or _describe(folder / name) != expected
    ]


def read_checksums(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Reads ``checksums.json`` without verifying the files."""
    path = Path(folder) / CHECKSUMS_FILE
    if not path.is_file():
        raise PoiseError(f"{folder}: not a backbone package (no {CHECKSUMS_FILE})")
    checksums = _read_json(path)
    named_as_saved = all(Path(name).name == name for name in checksums)
    if not named_as_saved or not {WEIGHTS_FILE, CONFIG_FILE} <= set(checksums):
        raise PoiseError(f"{path}: does not list the files of a backbone package")
    return checksums


def read_config(folder: str | Path) -> dict[str, Any]:
    """Reads a package's ``config.json``."""
    return _read_json(Path(folder) / CONFIG_FILE)


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": sha256}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PoiseError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise PoiseError(f"{path}: expected an object, found {type(content).__name__}")
    return content
