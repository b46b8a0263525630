"""A backbone in a folder: what is registered, pulled and loaded.

In: a trained backbone and its config. Out: a folder of ``backbone.safetensors``, ``config.json``
and ``checksums.json``, and the backbone again. Nothing in it is code and nothing is pickled.
Next: ``poise.tracking.registry``.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone

WEIGHTS_FILE = "backbone.safetensors"
CONFIG_FILE = "config.json"
CHECKSUMS_FILE = "checksums.json"


def save_backbone(folder: str | Path, backbone: nn.Module, config: Mapping[str, Any]) -> None:
    """Writes a package; the folder appears only when it is complete.

    Args:
        folder: must not exist, or be a package, which is replaced.
        backbone: what ``build_backbone`` gave, trained.
        config: at least ``backbone`` (a ``BackboneConfig`` as JSON) and ``image_px``; by
            convention also ``normalization`` (``mean`` and ``std``) and ``lineage``.

    Raises:
        PoiseError: the folder holds something else.
    """
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # A clone each: safetensors refuses tensors that share memory.
    tensors = {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in backbone.state_dict().items()
    }
    save_file(tensors, partial / WEIGHTS_FILE)
    (partial / CONFIG_FILE).write_text(json.dumps(config, indent=2, allow_nan=False) + "\n")
    _write_checksums(partial)
    if (folder / CHECKSUMS_FILE).is_file():
        shutil.rmtree(folder)
    try:
        partial.replace(folder)
    except OSError:
        shutil.rmtree(partial)
        raise PoiseError(f"{folder}: holds something else than a backbone package") from None


def load_backbone(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The backbone of a package, in evaluation mode on the CPU, and the package's config.

    Raises:
        PoiseError: a file is missing or damaged, or is not what this version writes.
    """
    folder = Path(folder)
    verify_package(folder)
    config = read_config(folder)
    try:
        backbone = build_backbone(
            BackboneConfig.model_validate(config["backbone"]), config["image_px"]
        )
        backbone.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (KeyError, ValidationError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise PoiseError(
            f"{folder}: its weights do not fit its {CONFIG_FILE} in this version of Poise: {reason}"
        ) from None
    return backbone.eval(), config


def verify_package(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Checks every file against ``checksums.json``.

    Returns:
        Per file its ``bytes`` and ``sha256``.

    Raises:
        PoiseError: the folder is no package, or a file is missing or not what was saved.
    """
    damaged = damaged_files(folder)
    if damaged:
        raise PoiseError(
            f"{folder}: {', '.join(damaged)}: missing, or not what {CHECKSUMS_FILE} describes; "
            "get the package again"
        )
    return read_checksums(folder)


def damaged_files(folder: str | Path) -> list[str]:
    """Files that are missing or whose SHA-256 is not the one that was saved."""
    folder = Path(folder)
    return [
        name
        for name, expected in read_checksums(folder).items()
        if not (folder / name).is_file() or _describe(folder / name) != expected
    ]


def read_checksums(folder: str | Path) -> dict[str, dict[str, Any]]:
    """What ``checksums.json`` says of each file, unverified."""
    path = Path(folder) / CHECKSUMS_FILE
    if not path.is_file():
        raise PoiseError(f"{folder}: not a backbone package (no {CHECKSUMS_FILE})")
    checksums = _read_json(path)
    named_as_saved = all(Path(name).name == name for name in checksums)
    if not named_as_saved or not {WEIGHTS_FILE, CONFIG_FILE} <= set(checksums):
        raise PoiseError(f"{path}: does not list the files of a backbone package")
    return checksums


def read_config(folder: str | Path) -> dict[str, Any]:
    """A package's ``config.json``."""
    return _read_json(Path(folder) / CONFIG_FILE)


def _write_checksums(folder: Path) -> None:
    checksums = {path.name: _describe(path) for path in sorted(folder.iterdir())}
    (folder / CHECKSUMS_FILE).write_text(json.dumps(checksums, indent=2) + "\n")


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
