"""Lists the known layouts, and finds the layout of a file.

In: a file's tensors. Out: its ``Layout``. Next: ``poise.models.published.loading``.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from poise.config.errors import PoiseError
from poise.models.published.dinov2 import read_dinov2
from poise.models.published.dinov3 import read_dinov3
from poise.models.published.huggingface import is_hugging_face, read_hugging_face
from poise.models.published.mae import has_fixed_positions, read_mae
from poise.models.published.prefixes import Located
from poise.models.published.preparation import published
from poise.models.published.resnet import read_resnet
from poise.models.published.shapes import Wishes
from poise.models.published.simmim import read_simmim
from poise.models.published.translation import HEADS, Layout, Reading, Tensors
from poise.models.published.vit import read_vit

_SHOWN = 3


def recognise(located: Located) -> Layout:
    """Finds the first layout that matches the names in a file.

    Raises:
        PoiseError: no layout matches; the message describes the content of the file.
    """
    found = next((layout for layout in LAYOUTS if layout.recognises(located)), None)
    if found is None:
        names = [*located.inside, *located.outside]
        known = "; ".join(f"{layout.name} ({layout.description})" for layout in LAYOUTS)
        raise PoiseError(
            f"{len(names)} tensors such as {', '.join(names[:_SHOWN])} have no known layout; Poise "
            f"reads {known}; if timm has this model, import timm's file of it with --architecture"
        )
    return found


def _any(names: Iterable[str], pattern: str) -> bool:
    return any(re.search(pattern, name) for name in names)


def _is_dinov3(located: Located) -> bool:
    """Recognises DINOv3 by its own tensor names, or by registers and LayerScale, no positions."""
    names = located.inside
    of_timm = _any(names, r"gamma_1$") and "reg_token" in names and "pos_embed" not in names
    return of_timm or _any(names, r"^(storage_tokens$|rope_embed\.periods)")


def _is_dinov2(located: Located) -> bool:
    """Recognises DINOv2 by its own tensor names, or by its [mask] token [1, D].

    MAE's [mask] token has the shape [1, 1, D].
    """
    mask = located.inside.get("mask_token")
    flat_mask = mask is not None and mask.dim() == 2
    return flat_mask or _any(located.inside, r"^(register_tokens$|blocks\.\d+\.\d+\.norm1)")


def _is_simmim(located: Located) -> bool:
    return _any(located.inside, r"^(rel_pos_bias|blocks\.\d+\.attn)\.relative_position_bias_table$")


def _is_mae(located: Located) -> bool:
    """Recognises MAE by its decoder, or by fixed positions."""
    fixed = has_fixed_positions(located.inside.get("pos_embed"))
    return _any(located.inside, r"^decoder_embed\.") or (fixed and "cls_token" in located.inside)


def _is_dino(located: Located) -> bool:
    """Recognises DINO by its projection head, together with a backbone."""
    names = (*located.inside, *located.outside)
    return _has_patches(located) and _any(names, r"(^|\.)head\.last_layer\.")


def _has_patches(located: Located) -> bool:
    return "patch_embed.proj.weight" in located.inside


def _read_dino(tensors: Tensors, wishes: Wishes) -> Reading:
    return replace(read_vit(tensors, wishes), preparation=published("DINO"))


LAYOUTS = (
    Layout(
        "huggingface",
        "transformers' ViT, ViT-MAE, DINOv2 or DINOv3",
        is_hugging_face,
        (*HEADS, (r"decoder\.", "decoder")),
        read_hugging_face,
    ),
    Layout(
        "dinov3",
        "DINOv3's storage tokens and rotary positions",
        _is_dinov3,
        (*HEADS, (r"local_cls_norm\.", "local norm")),
        read_dinov3,
    ),
    Layout(
        "dinov2",
        "DINOv2's [mask] token, registers or chunked blocks",
        _is_dinov2,
        HEADS,
        read_dinov2,
    ),
    Layout(
        "simmim",
        "SimMIM's or BEiT's relative position bias",
        _is_simmim,
        (*HEADS, (r"decoder\.", "decoder"), (r".*relative_position_index$", "indices")),
        read_simmim,
    ),
    Layout(
        "mae",
        "MAE's encoder, with or without its decoder",
        _is_mae,
        (*HEADS, (r"decoder_", "decoder")),
        read_mae,
    ),
    Layout("dino", "DINO's backbone with its projection head", _is_dino, HEADS, _read_dino),
    Layout(
        "resnet",
        "a residual network as torchvision and DINO name it",
        lambda located: "layer1.0.conv1.weight" in located.inside,
        HEADS,
        read_resnet,
    ),
    Layout("timm", "timm's vision transformer", _has_patches, HEADS, read_vit),
)
"""Layouts in the order in which they are tried. The most specific layout is first."""
