"""Translates published tensor names to timm's names. This module has the steps of all layouts.

In: a checkpoint's tensors. Out: a ``Translation`` (the checkpoint with timm's names). Next:
``poise.models.published.loading``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.published.prefixes import Located
from poise.models.published.preparation import UNKNOWN, Preparation
from poise.models.published.shapes import Basis, Wishes

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Reading:
    """Tensors of a backbone with timm's names, and the description of its architecture."""

    backbone: BackboneConfig
    image_px: int
    """Side in pixels of the images that the position embeddings are made for."""

    tensors: Tensors
    evaluation_px: int
    """Side in pixels of the images in the published evaluation."""

    notes: tuple[str, ...] = ()
    """Remarks about the conversion, for the user."""

    preparation: Preparation = UNKNOWN
    bases: Mapping[str, Basis] = field(default_factory=dict)
    """Maps the facts ``heads``, ``grid`` and ``norm eps`` to their origins."""

    dropped: Mapping[str, int] = field(default_factory=dict)
    """Maps each group of tensors that do not belong to the model to its number of tensors."""


@dataclass(frozen=True)
class Layout:
    """Naming scheme for a backbone's tensors."""

    name: str
    description: str
    recognises: Callable[[Located], bool]
    """Function that returns True if a file has this layout."""

    dropped: tuple[tuple[str, str], ...]
    """Patterns of tensor names that do not belong to the backbone, each with the name of its group.
    """

    read: Callable[[Tensors, Wishes], Reading]
    """Function that turns the backbone's tensors into a ``Reading``."""


@dataclass(frozen=True)
class Translation:
    """Tensors of a checkpoint with timm's names, and counts of converted and unused tensors."""

    layout: str
    reading: Reading
    matched: int
    """Number of tensors whose name is the same in timm."""

    mapped: int
    """Number of tensors whose name or content was converted."""

    dropped: dict[str, int]
    """Maps each group of tensors that do not belong to the backbone to its number of tensors."""

    prefix: str = ""
    """Prefix of the backbone's tensor names in the file."""


HEADS = (
    (r"head\.(mlp|last_layer)\.", "projection head"),  # DINO's
    (r"(head|head_dist|fc|classifier|lm_head)\.", "head"),
    (
        r"(dino_head|ibot_head|projectors?|projection_head|predictor|prototypes)\.",
        "projection head",
    ),
    (r"pooler\.", "pooler"),
    (r"(embeddings\.)?(mask_token|masked_embed)$", "mask token"),  # masked_embed: iBOT's
)
_OUTSIDE = "outside the backbone"
_WRAPPERS = re.compile(r"^((module|_orig_mod|model|net|encoder|backbone)\.)+")


def translate(layout: Layout, located: Located, wishes: Wishes) -> Translation:
    """Gives the tensors of the backbone timm's names. All other tensors are only counted.

    Args:
        layout: naming scheme of the file.
        located: tensors with the backbone's prefix, and all other tensors.
        wishes: facts about the checkpoint from the user or from a config.

    Raises:
        PoiseError: the shapes fit no model.
    """
    kept: Tensors = {}
    dropped: dict[str, int] = {}
    for name, tensor in located.inside.items():
        group = _group(layout, name)
        if group is None:
            kept[name] = tensor
        else:
            dropped[group] = dropped.get(group, 0) + 1
    for name in located.outside:
        group = _group(layout, _WRAPPERS.sub("", name)) or _OUTSIDE
        dropped[group] = dropped.get(group, 0) + 1
    reading = layout.read(dict(kept), wishes)
    dropped |= reading.dropped
    same = sum(reading.tensors.get(name) is tensor for name, tensor in kept.items())
    matched = 0 if located.prefix else same
    return Translation(
        layout.name,
        reading,
        matched,
        len(kept) - matched - sum(reading.dropped.values()),
        dropped,
        located.prefix,
    )


def renamed(tensors: Tensors, *replacements: tuple[str, str]) -> Tensors:
    """Renames tensors by replacing each pattern (regular expression) in each name.

    Raises:
        PoiseError: two tensors get the same name.
    """
    result: Tensors = {}
    for name, tensor in tensors.items():
        new = name
        for pattern, replacement in replacements:
            new = re.sub(pattern, replacement, new)
        if new in result:
            raise PoiseError(f"{name} and another tensor both become {new} under timm's names")
        result[new] = tensor
    return result


def _group(layout: Layout, name: str) -> str | None:
    return next((group for start, group in layout.dropped if re.match(start, name)), None)
