"""Finds a backbone's tensors in a file that also contains other tensors.

In: a file's tensors. Out: the backbone's tensors without the prefix in their names, and all other
tensors. Next: ``poise.models.published.layouts``.

Training frameworks add a prefix to a backbone's names, such as ``module.``, ``model.``,
``teacher.backbone.`` or ``momentum_encoder.net.``. No other tensor has the name of a backbone's
first layer. So the text before this name is the prefix.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from poise.config.errors import PoiseError
from poise.models.published.stored_tensors import check_stored

_FIRST_LAYERS = re.compile(
    r"^(?P<prefix>(?:.*\.)?)(?:"
    r"patch_embed\.proj\.weight|patch_embed\.backbone\.stem\.conv\.weight"  # timm, DINO, MAE
    r"|embeddings\.patch_embeddings\.(?:projection\.)?weight"  # Hugging Face
    r"|layer1\.0\.conv1\.weight"  # residual networks
    r")$"
)
_WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module|_fpw_module)\."
)
"""Parts of tensor names that PyTorch adds to a compiled, sharded or checkpointed module."""

_SHOWN = 6


@dataclass(frozen=True)
class Located:
    """Tensors of a file, separated into the backbone's tensors and the others."""

    prefix: str
    """Prefix of the backbone's tensor names: empty, or with a dot at its end."""

    inside: dict[str, Tensor]
    """Tensors of the backbone, with names without prefix."""

    outside: dict[str, Tensor]
    """All other tensors, with their names in the file."""


def locate(tensors: Mapping[str, Tensor], wanted: str | None = None) -> Located:
    """Finds the tensors of the backbone in a file.

    Args:
        tensors: tensors of the file.
        wanted: prefix from the user, or its beginning or end. The final dot may be missing. None
            finds the prefix.

    Raises:
        PoiseError: the file contains several backbones, or no backbone with this prefix, or a
            tensor that cannot be a weight (``check_stored``).
    """
    found = prefixes(tensors)
    prefix = _only(found) if wanted is None else _chosen(found, wanted)
    others = [other for other in found if other != prefix and other.startswith(prefix)]
    inside: dict[str, Tensor] = {}
    outside: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix) and not name.startswith(tuple(others)):
            inside[name.removeprefix(prefix)] = tensor
        else:
            outside[name] = tensor
    check_stored(inside)
    return Located(prefix, inside, outside)


def unwrapped(name: str) -> str:
    """Removes the parts of a tensor's name that PyTorch's wrappers added."""
    return _WRAPPERS.sub("", name)


def prefixes(names: Iterable[str]) -> list[str]:
    """Lists the prefixes of all backbones in a file, found by the names of their first layers."""
    matches = map(_FIRST_LAYERS.match, names)
    return list(dict.fromkeys(match["prefix"] for match in matches if match))


def _only(found: list[str]) -> str:
    if len(found) > 1:
        raise PoiseError(
            f"holds {len(found)} backbones, under {_listed(found)}; choose one with "
            f"--prefix {found[0].rstrip('.') or _quoted('')}"
        )
    return found[0] if found else ""


def _chosen(found: list[str], wanted: str) -> str:
    stem = f"{wanted.rstrip('.')}." if wanted.rstrip(".") else ""
    if stem in found:
        return stem
    under = [
        prefix for prefix in found if prefix.startswith(stem) or f".{prefix}".endswith(f".{stem}")
    ]
    if len(under) == 1:
        return under[0]
    if not found:
        raise PoiseError(
            f"--prefix {wanted}: the file has no patch embedding and no residual stage under any "
            "prefix"
        )
    raise PoiseError(
        f"--prefix {wanted}: {'several backbones are' if under else 'no backbone is'} there; the "
        f"file has backbones under {_listed(under or found)}"
    )


def _listed(found: list[str]) -> str:
    shown = ", ".join(_quoted(prefix) for prefix in found[:_SHOWN])
    return f"{shown}, …" if len(found) > _SHOWN else shown


def _quoted(prefix: str) -> str:
    return f"'{prefix}'"
