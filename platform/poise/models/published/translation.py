"""Translates published names to timm's names: the steps that all layouts share.

In: a checkpoint's tensors. Out: a ``Translation``. Next: ``poise.models.published.loading``.
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
    """Tensors of a backbone with timm's names, and the model that they belong to."""

    backbone: BackboneConfig
    image_px: int
    """Side of the images that the positions are for."""

    tensors: Tensors
    evaluation_px: int
    """Side of the images in the published evaluation."""

    notes: tuple[str, ...] = ()
    """Remarks about the conversion, for the user."""

    preparation: Preparation = UNKNOWN
    bases: Mapping[str, Basis] = field(default_factory=dict)
    """Origins of ``heads``, ``grid`` and ``norm eps``."""

    dropped: Mapping[str, int] = field(default_factory=dict)
    """Numbers of tensors that were read but do not belong to the model, by group."""


@dataclass(frozen=True)
class Layout:
    """Naming scheme for a backbone's tensors."""

    name: str
    description: str
    recognises: Callable[[Located], bool]
    """Function that returns True if a file has this layout."""

    dropped: tuple[tuple[str, str], ...]
    """Patterns of names that do not belong to the backbone, each with the group that it counts in.
    """

    read: Callable[[Tensors, Wishes], Reading]
    """Function that turns the backbone's tensors into a ``Reading``."""


@dataclass(frozen=True)
class Translation:
    """Checkpoint with timm's names, and a count of every name in it."""

    layout: str
    reading: Reading
    matched: int
    """Number of names that timm also uses."""

    mapped: int
    """Number of names or contents that were converted."""

    dropped: dict[str, int]
    """Number of names that do not belong to the backbone, by group."""

    prefix: str = ""
    """Beginning of the backbone's tensor names in the file."""


HEADS = (
    (r"head\.(mlp|last_layer)\.", "projection head"),  # DINO's
    (r"(head|head_dist|fc|classifier|lm_head)\.", "head"),
    (
        r"(dino_head|ibot_head|projectors?|projection_head|predictor|prototypes)\.",
        "projection head",
    ),
    (r"pooler\.", "pooler"),
)
_OUTSIDE = "outside the backbone"
_WRAPPERS = re.compile(r"^((module|_orig_mod|model|net|encoder|backbone)\.)+")


def translate(layout: Layout, located: Located, wishes: Wishes) -> Translation:
    """Separates a file's tensors into the backbone and the rest, and reads the backbone.

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
    """Renames tensors: replaces each pattern in each name.

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
