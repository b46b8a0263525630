"""Checkpoint files, read without running anybody's code.

In: a ``.safetensors`` file, or what ``torch.save`` wrote. Out: its tensors by name, and what else
it holds. Next: ``poise.models.published.layouts``.
"""

import argparse
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from poise.config.errors import PoiseError

DESCRIPTION = "poise"
"""Entry of a safetensors header that describes the backbone, as JSON."""

HUGGING_FACE_WEIGHTS = "model.safetensors"
"""In a timm folder of Hugging Face."""

_PREFERRED = ("teacher", "model", "state_dict")
"""Where published files keep what is meant to be used, in this order."""


@dataclass(frozen=True)
class Checkpoint:
    """A file's tensors."""

    tensors: dict[str, Tensor]

    key: str | None
    """Entry of the file that they were under; none where they are the file."""

    unread: tuple[str, ...] = ()
    """Other entries, such as an optimiser."""

    description: dict[str, Any] | None = None
    """What the file says of its backbone, if Poise wrote it."""


def read_checkpoint(path: Path, key: str | None = None) -> Checkpoint:
    """Reads a file's tensors onto the CPU.

    Args:
        path: of the file.
        key: entry to take, such as ``student``; by default ``teacher``, ``model`` or
            ``state_dict``, whichever is there first, else the file itself.

    Raises:
        PoiseError: the file is damaged, wants code to be run, or has no such entry.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path, key)
    content = _load(path)
    if not isinstance(content, Mapping):
        raise PoiseError(f"{path}: holds a {type(content).__name__}, not tensors by name")
    entries = [name for name, value in content.items() if _tensors(value)]
    if key is None:
        key = next((name for name in _PREFERRED if name in entries), None)
    elif key not in entries:
        known = ", ".join(map(str, entries)) or "none: its tensors are not in entries"
        raise PoiseError(
            f"--checkpoint-key {key}: {path} has no such entry of tensors; has {known}"
        )
    found = content if key is None else content[key]
    tensors = _tensors(found)
    if not tensors:
        hint = f"; choose one with --checkpoint-key: {', '.join(entries)}" if entries else ""
        raise PoiseError(f"{path}: no tensors by name where published files keep them{hint}")
    unread = tuple(str(name) for name in content if key is not None and name != key)
    return Checkpoint(tensors, key, unread)


def _tensors(value: object) -> dict[str, Tensor]:
    if not isinstance(value, Mapping):
        return {}
    return {str(name): item for name, item in value.items() if isinstance(item, Tensor)}


def _read_safetensors(path: Path, key: str | None) -> Checkpoint:
    if key is not None:
        raise PoiseError(f"--checkpoint-key {key}: a safetensors file has no entries; leave it out")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        described = json.loads(header[DESCRIPTION]) if DESCRIPTION in header else None
    except (SafetensorError, OSError, ValueError) as error:
        raise PoiseError(f"{path}: cannot be read as safetensors: {error}") from None
    return Checkpoint(tensors, None, description=described)


def _load(path: Path) -> Any:
    # Older files keep their command line in a Namespace. To restore one sets attributes of a plain
    # object; its class runs nothing.
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises whatever its bytes happen to mean
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if wanted:
            raise PoiseError(
                f"{path}: refused: loading it would run {wanted.group(1)} (it is a pickle of more "
                "than tensors); save its tensors alone, best as safetensors"
            ) from None
        raise PoiseError(
            f"{path}: is no checkpoint, or a damaged one: neither PyTorch's file of tensors nor "
            "safetensors"
        ) from None
