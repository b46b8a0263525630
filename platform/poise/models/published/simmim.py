"""Layout of SimMIM (arXiv 2111.09886), for timm's Beit.

BEiT has the same layout without the prefix.

In: tensors with these names. Out: a ``Reading`` (architecture and weights). Next:
``poise.models.published.layouts``.
"""

from dataclasses import replace
from typing import Any

import torch

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.published.preparation import Preparation, from_timm, published
from poise.models.published.shapes import Basis, Wishes, measure, mlp_ratio
from poise.models.published.translation import Reading, Tensors
from poise.models.published.vit import NORM_EPS, norm_basis

_SHARED = "rel_pos_bias.relative_position_bias_table"
_OWN = "blocks.0.attn.relative_position_bias_table"
_SPECIAL = 3  # rows of a table for [cls] to patch, patch to [cls], and [cls] to itself


def read_simmim(tensors: Tensors, wishes: Wishes) -> Reading:
    """Reads a transformer with relative position bias and LayerScale.

    Raises:
        PoiseError: the dimensions or the grid cannot be read.
    """
    size = measure(tensors, wishes)
    options: dict[str, Any] = {
        **size.options,
        "use_abs_pos_emb": "pos_embed" in tensors,
        "use_rel_pos_bias": _OWN in tensors,
        "use_shared_rel_pos_bias": _SHARED in tensors,
        "qkv_bias": "blocks.0.attn.q_bias" in tensors,
        "init_values": 0.1,  # any value, because the file's values replace it
        "global_pool": "token",
        "use_fc_norm": "norm.weight" not in tensors,
    }
    if (ratio := mlp_ratio(tensors)) != 4:
        options["mlp_ratio"] = ratio
    if wishes.norm_eps not in (None, NORM_EPS):
        options["norm_eps"] = wishes.norm_eps
    notes: tuple[str, ...] = ()
    if "fc_norm.weight" in tensors:
        options["global_pool"] = "avg"
    elif options["use_fc_norm"]:
        ones = torch.ones(size.embed_dim)
        tensors = tensors | {"fc_norm.weight": ones, "fc_norm.bias": torch.zeros_like(ones)}
        notes = ("the file has no last norm: one without learned values normalises the feature",)
    name = "beit_large_patch16_224" if size.embed_dim == 1024 else "beit_base_patch16_224"
    config = BackboneConfig(name=name, drop_path=0, options=options)
    side, basis = _grid(tensors, wishes)
    image_px = side * size.patch_px
    return Reading(
        config,
        image_px,
        tensors,
        image_px,
        notes,
        _beit(name) if _OWN in tensors else published("SimMIM"),
        {"heads": size.heads_basis, "grid": basis, **norm_basis(wishes)},
    )


def _beit(name: str) -> Preparation:
    """Makes a preparation with BEiT's statistics, as an assumption.

    Other models have tensors of the same names and shapes, but other statistics.
    """
    text = "those of BEiT; BEiT v2 and fine-tuned SimMIM have the same tensors and use ImageNet's"
    basis = Basis(text, "--architecture, or --mean and --std")
    return replace(from_timm(name), basis=basis)


def _grid(tensors: Tensors, wishes: Wishes) -> tuple[int, Basis]:
    """Computes the number of patches per side, from the table of relative positions.

    The table has a row for each of (2·side − 1)² offsets between patches.
    """
    rows = next(tensors[name].shape[0] for name in (_SHARED, _OWN) if name in tensors)
    side = next((side for side in range(1, 257) if (2 * side - 1) ** 2 + _SPECIAL == rows), None)
    if side is None:
        raise PoiseError(
            f"a table of {rows} relative positions fits no square grid, and images are square"
        )
    if wishes.grid not in (None, (side, side)):
        raise PoiseError(
            f"--grid {wishes.grid[0]} {wishes.grid[1]}: relative positions need a square grid here,"
            f" and the table's is {side} × {side}; leave it out"
        )
    return side, Basis(f"a table of {rows} relative positions")
