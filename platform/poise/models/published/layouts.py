"""The layouts that are known, and which one a file has.

In: a file's tensors. Out: its ``Layout``. Next: ``poise.models.published.loading``.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from poise.config.errors import PoiseError
from poise.models.published.dinov2 import read_dinov2
from poise.models.published.dinov3 import read_dinov3
from poise.models.published.resnet import read_resnet
from poise.models.published.simmim import read_simmim
from poise.models.published.translation import HEADS, Layout
from poise.models.published.vit import read_vit

Named = Mapping[str, Tensor]

_MASK = (r"mask_token$", "mask token")


def recognise(tensors: Named) -> Layout:
    """The first layout whose marks the tensors bear.

    Raises:
        PoiseError: none; the message says what the file holds.
    """
    found = next((layout for layout in LAYOUTS if layout.recognises(tensors)), None)
    if found is None:
        some = ", ".join(list(tensors)[:3])
        known = "; ".join(f"{layout.name} ({layout.description})" for layout in LAYOUTS)
        raise PoiseError(f"{len(tensors)} tensors such as {some} are of no known layout: {known}")
    return found


def _any(tensors: Named, pattern: str) -> bool:
    return any(re.search(pattern, name) for name in tensors)


def _is_dinov3(tensors: Named) -> bool:
    """By its own names, or by timm's: registers and LayerScale without positions."""
    renamed = _any(tensors, r"gamma_1$") and "reg_token" in tensors and "pos_embed" not in tensors
    return renamed or _any(tensors, r"(storage_tokens|rope_embed\.periods)$")


def _is_dinov2(tensors: Named) -> bool:
    """Its [mask] token is [1, D], where MAE's is [1, 1, D]."""
    flat_mask = any(
        name.endswith("mask_token") and tensor.dim() == 2 for name, tensor in tensors.items()
    )
    return flat_mask or _any(tensors, r"(^|\.)(register_tokens$|blocks\.\d+\.\d+\.norm1)")


def _is_mae(tensors: Named) -> bool:
    """A decoder, or fixed positions: those of [cls] are 0."""
    positions = tensors.get("pos_embed")
    fixed = positions is not None and positions.dim() == 3 and not positions[:, 0].any()
    return _any(tensors, r"^decoder_embed\.") or (fixed and "cls_token" in tensors)


LAYOUTS = (
    Layout(
        "dinov3",
        "DINOv3's storage tokens and rotary positions",
        _is_dinov3,
        (*HEADS, _MASK, (r"rope_embed\.", "rotary periods"), (r"local_cls_norm\.", "local norm")),
        read_dinov3,
    ),
    Layout(
        "dinov2",
        "DINOv2's [mask] token, registers or chunked blocks",
        _is_dinov2,
        (*HEADS, _MASK),
        read_dinov2,
    ),
    Layout(
        "simmim",
        "SimMIM's or BEiT's relative position bias",
        lambda tensors: (
            _any(tensors, r"(rel_pos_bias|attn)\.relative_position_bias_table$")
            and not _any(tensors, r"layers\.\d+\.blocks")
        ),
        (*HEADS, (r"decoder\.", "decoder"), _MASK, (r".*relative_position_index$", "indices")),
        read_simmim,
    ),
    Layout(
        "mae",
        "MAE's encoder, with or without its decoder",
        _is_mae,
        (*HEADS, (r"decoder_", "decoder"), _MASK),
        read_vit,
    ),
    Layout(
        "dino",
        "DINO's backbone with its projection head",
        lambda tensors: (
            _any(tensors, r"^(module\.)?(backbone\.|head\.last_layer)")
            and _any(tensors, r"patch_embed\.proj\.weight$")
        ),
        HEADS,
        read_vit,
    ),
    Layout(
        "resnet",
        "a residual network as torchvision and DINO name it",
        lambda tensors: _any(tensors, r"(^|\.)layer1\.0\.conv1\.weight$"),
        HEADS,
        read_resnet,
    ),
    Layout(
        "timm",
        "timm's vision transformer, as DINO's backbone-only files",
        lambda tensors: _any(tensors, r"(^|\.)patch_embed\.proj\.weight$"),
        HEADS,
        read_vit,
    ),
)
"""From the most particular to the plainest."""
