"""From published names to timm's: what every layout shares.

In: a checkpoint's tensors. Out: a ``Translation``. Next: ``poise.models.published.loading``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.published.shapes import Wishes

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Reading:
    """A backbone under timm's names, and the model that they belong to."""

    backbone: BackboneConfig
    image_px: int
    """Side of the images that its positions are for."""

    tensors: Tensors
    evaluation_px: int
    """Side that the published evaluations use."""

    notes: tuple[str, ...] = ()
    """What a person should know of the conversion."""


@dataclass(frozen=True)
class Layout:
    """One way of naming a backbone's tensors."""

    name: str
    description: str
    recognises: Callable[[Mapping[str, Tensor]], bool]
    """Of a file's tensors under their own names."""

    dropped: tuple[tuple[str, str], ...]
    """Pattern at the start of a name without prefixes, and the group that it is told as."""

    read: Callable[[Tensors, Wishes], Reading]
    """Of the tensors that are left."""


@dataclass(frozen=True)
class Translation:
    """A checkpoint in timm's words, with an account of every name in it."""

    layout: str
    reading: Reading
    matched: int
    """Names that timm uses too."""

    mapped: int
    """Names or contents that were converted."""

    dropped: dict[str, int]
    """Names that are no part of the backbone, by group."""


HEADS = (
    (r"head\.(mlp|last_layer)\.", "projection head"),  # DINO's
    (r"(head|head_dist|fc|classifier|lm_head)\.", "head"),
    (r"(dino_head|ibot_head|projectors)\.", "projection head"),
)
_PREFIX = re.compile(r"((module|_orig_mod|backbone|encoder)\.)+")


def translate(layout: Layout, tensors: Tensors, wishes: Wishes) -> Translation:
    """Sorts a file's tensors into the backbone and the rest.

    Raises:
        PoiseError: two names become one, or the shapes are those of no model.
    """
    kept: Tensors = {}
    dropped: dict[str, int] = {}
    for name, tensor in tensors.items():
        prefix = _PREFIX.match(name)
        bare = name[prefix.end() :] if prefix else name
        group = next((group for start, group in layout.dropped if re.match(start, bare)), None)
        if group:
            dropped[group] = dropped.get(group, 0) + 1
        elif bare in kept:
            raise PoiseError(f"{name} and another tensor are both {bare} without their prefixes")
        else:
            kept[bare] = tensor
    reading = layout.read(dict(kept), wishes)
    matched = sum(reading.tensors.get(name) is tensor for name, tensor in tensors.items())
    return Translation(layout.name, reading, matched, len(kept) - matched, dropped)


def renamed(tensors: Tensors, *replacements: tuple[str, str]) -> Tensors:
    """Tensors whose names had each pattern replaced.

    Raises:
        PoiseError: two names become one.
    """
    result: Tensors = {}
    for name, tensor in tensors.items():
        new = name
        for pattern, replacement in replacements:
            new = re.sub(pattern, replacement, new)
        if new in result:
            raise PoiseError(f"{name} and another tensor are both {new} in timm's words")
        result[new] = tensor
    return result
