"""Finds a backbone's tensors in a file that also holds other tensors.

In: a file's tensors. Out: the backbone's tensors with names without prefix, and the rest. Next:
``poise.models.published.layouts``.

Training frameworks put a prefix before a backbone's names: ``module.``, ``model.``,
``teacher.backbone.``, ``momentum_encoder.net.``. No other tensor has the name of the first layer,
so the part before this name is the prefix.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from poise.config.errors import PoiseError

_FIRST_LAYERS = re.compile(
    r"^(?P<prefix>(?:.*\.)?)(?:"
    r"patch_embed\.proj\.weight|patch_embed\.backbone\.stem\.conv\.weight"  # timm, DINO, MAE
    r"|embeddings\.patch_embeddings\.(?:projection\.)?weight"  # Hugging Face
    r"|layer1\.0\.conv1\.weight"  # residual networks
    r")$"
)
_SHOWN = 6


@dataclass(frozen=True)
class Located:
    """Tensors of a file: the backbone's and the others."""

    prefix: str
    """Beginning of the backbone's names: empty, or with a dot at its end."""

    inside: dict[str, Tensor]
    """Tensors of the backbone, with names without prefix."""

    outside: dict[str, Tensor]
    """All other tensors, with their names in the file."""


def locate(tensors: Mapping[str, Tensor], wanted: str | None = None) -> Located:
    """Finds a file's backbone.

    Args:
        tensors: tensors of the file.
        wanted: prefix that the user gives, with or without its dot; None finds the prefix.

    Raises:
        PoiseError: the file holds several backbones, or no backbone with that prefix.
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
    return Located(prefix, inside, outside)


def prefixes(names: Iterable[str]) -> list[str]:
    """Lists the prefix of each backbone's first layer."""
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
    under = [prefix for prefix in found if prefix.startswith(stem)]
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
