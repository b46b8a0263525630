"""Reads checkpoint files without running code from them.

In: a ``.safetensors`` file, a sharded checkpoint with its index, or a file of ``torch.save``. Out:
its tensors by name, and the names of its other entries. Next: ``poise.models.published.prefixes``.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from poise.config.errors import PoiseError
from poise.models.published.prefixes import prefixes

DESCRIPTION = "poise"
"""Entry of a safetensors header that describes the backbone, as JSON."""

HUGGING_FACE_WEIGHTS = "model.safetensors"
"""File of weights in a folder of Hugging Face, written by timm or by transformers."""

INDEX_ENDING = ".index.json"
"""Ending of the name of a file that lists the shards of a checkpoint."""

_PREFERRED = ("teacher", "model", "state_dict")
"""Entries in which published files keep the best weights, in order of preference."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors of a file."""

    tensors: dict[str, Tensor]

    key: str | None
    """Entry of the file that held the tensors; None if they were not inside an entry."""

    unread: tuple[str, ...] = ()
    """Other entries of the file, such as an optimiser."""

    description: dict[str, Any] | None = None
    """The file's own description of its backbone, if Poise wrote the file."""


def read_checkpoint(path: Path, key: str | None = None) -> Checkpoint:
    """Reads a file's tensors onto the CPU.

    Tensors in nested entries get dotted names. For example, ``{"net": {"norm.bias": …}}`` gives
    ``net.norm.bias``.

    Args:
        path: file, or index of a sharded checkpoint.
        key: entry to take, such as ``student`` or ``model.ema``. None takes the first of
            ``teacher``, ``model`` and ``state_dict`` that holds a backbone, or else the whole file.

    Raises:
        PoiseError: the file is damaged, would run code, or has no such entry.
    """
    if path.name.endswith(INDEX_ENDING) or path.suffix == ".safetensors":
        if key is not None:
            raise PoiseError(
                f"--checkpoint-key {key}: a safetensors file has no entries; leave it out"
            )
        return _read_shards(path) if path.suffix == ".json" else _read_safetensors(path)
    content = _load(path)
    if not isinstance(content, Mapping):
        raise PoiseError(f"{path}: holds a {type(content).__name__}, not tensors by name")
    if key is None:
        preferred = (name for name in _PREFERRED if isinstance(content.get(name), Mapping))
        key = next(
            (name for name in preferred if prefixes(each for each, _ in _flat(content[name]))), None
        )
    found = content if key is None else _entry(content, key, path)
    tensors = dict(_flat(found))
    if not tensors:
        raise PoiseError(f"{path}: holds no tensors by name")
    top = None if key is None else key.partition(".")[0]
    unread = tuple(str(name) for name in content if top is not None and name != top)
    return Checkpoint(tensors, key, unread)


def shards(index: Path) -> list[Path]:
    """Lists the files of a sharded checkpoint.

    Raises:
        PoiseError: the index cannot be read, names a file outside its folder, or a shard is
            missing.
    """
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise PoiseError(f"{index}: is not an index of shards (weight_map): {error!r}") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise PoiseError(f"{index}: the shard {name!r} is not a file in the same folder")
        if not (index.parent / name).is_file():
            raise PoiseError(f"{index}: the shard {name} is missing; get the whole folder again")
    return [index.parent / name for name in names]


def _read_shards(index: Path) -> Checkpoint:
    tensors: dict[str, Tensor] = {}
    for path in shards(index):
        tensors |= read_checkpoint(path).tensors
    listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    missing = [name for name in listed if name not in tensors]
    if missing:
        raise PoiseError(
            f"{index}: {missing[0]} and {len(missing) - 1} other tensors are not in its shards; "
            "get the whole folder again"
        )
    return Checkpoint(tensors, None)


def _entry(content: Mapping[Any, Any], key: str, path: Path) -> Mapping[Any, Any]:
    found: Any = content
    for part in (key,) if key in content else key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping) and dict(_flat(found)):
        return found
    entries = [str(name) for name, value in content.items() if isinstance(value, Mapping)]
    known = [name for name in entries if dict(_flat(content[name]))]
    listed = ", ".join(known) or "none: its tensors are not in entries"
    raise PoiseError(f"--checkpoint-key {key}: {path} has no such entry of tensors; has {listed}")


def _flat(value: object, start: str = "") -> Iterator[tuple[str, Tensor]]:
    if not isinstance(value, Mapping):
        return
    for name, item in value.items():
        if isinstance(item, Tensor):
            yield f"{start}{name}", item
        else:
            yield from _flat(item, f"{start}{name}.")


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        described = json.loads(header[DESCRIPTION]) if DESCRIPTION in header else None
    except (SafetensorError, OSError, ValueError) as error:
        raise PoiseError(f"{path}: cannot be read as safetensors: {error}") from None
    return Checkpoint(tensors, None, description=described)


def _load(path: Path) -> Any:
    # # Older files keep their command line in a Namespace. Loading it sets attributes of a plain
    # object and runs no code of a class.
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises any kind of error
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if wanted:
            raise PoiseError(
                f"{path}: refused: loading it would run {wanted.group(1)} (it is a pickle of more "
                "than tensors); save only its tensors, best as safetensors"
            ) from None
        raise PoiseError(
            f"{path}: is no checkpoint, or a damaged one: neither PyTorch's file of tensors nor "
            "safetensors"
        ) from None
