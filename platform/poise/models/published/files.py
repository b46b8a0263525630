"""Reads checkpoint files without running code from them.

In: a ``.safetensors`` file, a sharded checkpoint with its index, or a file of ``torch.save``. Out:
a dict of its tensors, and the names of its other entries. Next:
``poise.models.published.prefixes``.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from poise.config.errors import PoiseError, one_line
from poise.models.published.pickles import load_pickled
from poise.models.published.prefixes import prefixes, unwrapped

DESCRIPTION = "poise"
"""Key of a safetensors header. The value describes the backbone, as JSON."""

HUGGING_FACE_WEIGHTS = "model.safetensors"
"""Name of the file of weights in a Hugging Face folder that timm or transformers wrote."""

INDEX_ENDING = ".index.json"
"""Ending of the name of a file that lists the shards of a checkpoint."""

_PREFERRED = ("teacher", "model", "state_dict")
"""Names of the entries that usually contain the best weights, in order of preference."""

_DEEPEST = 32
"""Largest allowed depth of nested entries. No published file is deeper than four."""


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file."""

    tensors: dict[str, Tensor]

    key: str | None
    """Entry of the file that contains the tensors; None if the tensors are at the top level."""

    unread: tuple[str, ...] = ()
    """Names of the other entries of the file, such as an optimiser."""

    description: dict[str, Any] | None = None
    """Description of the backbone in the file's header, if Poise wrote the file."""


def read_checkpoint(path: Path, key: str | None = None) -> Checkpoint:
    """Reads the tensors of a file to the CPU.

    Tensors in nested entries get dotted names. For example, ``{"net": {"norm.bias": …}}`` gives
    ``net.norm.bias``.

    Args:
        path: file, or index of a sharded checkpoint.
        key: entry to read, such as ``student`` or ``model.ema``. None reads the first of
            ``teacher``, ``model`` and ``state_dict`` that contains a backbone, or else the whole
            file.

    Raises:
        PoiseError: the file is damaged, would run code, or has no such entry.
    """
    is_index = path.name.endswith(INDEX_ENDING)
    if is_index or _holds_safetensors(path):
        if key is not None:
            raise PoiseError(
                f"--checkpoint-key {key}: a safetensors file has no entries; leave it out"
            )
        return _read_shards(path) if is_index else _read_safetensors(path)
    content = load_pickled(path)
    if not isinstance(content, Mapping):
        raise PoiseError(f"{path}: holds a {type(content).__name__}, not tensors by name")
    named = {str(name): value for name, value in content.items()}
    if key is None:
        preferred = (name for name in _PREFERRED if isinstance(named.get(name), Mapping))
        key = next(
            (name for name in preferred if prefixes(each for each, _ in _flat(named[name]))), None
        )
    found = content if key is None else _entry(content, key, path)
    tensors = _by_name(_flat(found), path)
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
        if not names:
            raise ValueError("it lists no shard")
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise PoiseError(f"{index}: is not an index of shards (weight_map): {error!r}") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or name.endswith(INDEX_ENDING):
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
        named = found.items() if isinstance(found, Mapping) else ()
        found = next((value for name, value in named if str(name) == part), None)
    if isinstance(found, Mapping) and dict(_flat(found)):
        return found
    entries = {str(name): value for name, value in content.items()}
    known = [name for name, value in entries.items() if dict(_flat(value))]
    listed = ", ".join(known) or "none: its tensors are not in entries"
    raise PoiseError(f"--checkpoint-key {key}: {path} has no such entry of tensors; has {listed}")


def _flat(
    value: object, start: str = "", above: tuple[object, ...] = ()
) -> Iterator[tuple[str, Tensor]]:
    """Yields the tensors of nested entries with their dotted names.

    Stops at cycles and at very deep entries.
    """
    if not isinstance(value, Mapping) or len(above) > _DEEPEST:
        return
    if any(value is each for each in above):
        return
    for name, item in value.items():
        if isinstance(item, np.ndarray) and item.dtype.kind == "f":
            item = torch.from_numpy(item)
        if isinstance(item, Tensor):
            yield unwrapped(f"{start}{name}"), item
        else:
            yield from _flat(item, f"{start}{name}.", (*above, value))


def _by_name(tensors: Iterable[tuple[str, Tensor]], path: Path) -> dict[str, Tensor]:
    result: dict[str, Tensor] = {}
    for name, tensor in tensors:
        if name in result:
            raise PoiseError(
                f"{path}: holds {name} twice, once inside a wrapper of PyTorch; save one model"
            )
        result[name] = tensor
    return result


def _holds_safetensors(path: Path) -> bool:
    """Returns True if a file is in the format of safetensors.

    The first bytes decide, because files may have been renamed. If they are not clear, the ending
    of the name decides.
    """
    try:
        with path.open("rb") as file:
            length, begin = int.from_bytes(file.read(8), "little"), file.read(1)
    except OSError as error:
        raise PoiseError(f"{path}: cannot be read: {error.strerror or error}") from None
    if begin == b"{" and length <= path.stat().st_size:
        return True
    with path.open("rb") as file:
        is_of_torch = file.read(4) == b"PK\x03\x04"
    return path.suffix.lower() == ".safetensors" and not is_of_torch


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            held = [(unwrapped(name), file.get_tensor(name)) for name in file.keys()]  # noqa: SIM118
        described = json.loads(header[DESCRIPTION]) if DESCRIPTION in header else None
    except (SafetensorError, OSError, ValueError) as error:
        raise PoiseError(
            f"{path}: cannot be read as safetensors: {one_line(error)}; it is damaged or not "
            "complete, so get it again"
        ) from None
    if described is not None and not isinstance(described, dict):
        raise PoiseError(f"{path}: its header's '{DESCRIPTION}' is no JSON object; get it again")
    return Checkpoint(_by_name(held, path), None, description=described)
