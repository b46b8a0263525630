"""Layout of plain vision transformers, for which DINO, MAE and timm use the same names.

In: tensors with these names. Out: a ``Reading`` (architecture and weights). Next:
``poise.models.published.layouts``.
"""

from typing import Any

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.published.grids import Grid, read_grid
from poise.models.published.shapes import SIZES, Basis, Wishes, measure, mlp_ratio
from poise.models.published.translation import Reading, Tensors, renamed

_EVALUATED_PX = 224  # even if positions are for 518 px, as in DINOv2
NORM_EPS = 1e-6
"""Epsilon of the norms of timm's vision transformers."""


def read_vit(tensors: Tensors, wishes: Wishes, covers_prefix: bool | None = None) -> Reading:
    """Reads a vision transformer with learned or fixed positions.

    The model may have registers, LayerScale, normed queries and keys, and a norm after mean pooling
    (``fc_norm``).

    Args:
        tensors: tensors with timm's names.
        wishes: facts that the weights do not contain, from the user or a config.
        covers_prefix: whether the tokens before the patches have positions; None derives this from
            the number of positions.

    Raises:
        PoiseError: the dimensions or the grid cannot be read.
    """
    if "dist_token" in tensors:
        raise PoiseError(
            "dist_token: the file has a distillation token, which Poise does not support; use a "
            "model without one"
        )
    tensors = renamed(tensors, (r"\.gamma_([12])$", r".ls\1.gamma"))  # DeiT III's and iBOT's names
    size = measure(tensors, wishes)
    registers = tensors["reg_token"].shape[1] if "reg_token" in tensors else 0
    has_cls = "cls_token" in tensors
    grid = _grid(tensors, registers + has_cls, wishes, covers_prefix)
    config = BackboneConfig(
        name=_name(size.embed_dim, size.patch_px),
        num_registers=registers,
        drop_path=0,
        options={
            **size.options,
            **_parts(tensors, wishes),
            **_pooling(tensors, has_cls),
            **_positions(grid, registers, size.patch_px),
        },
    )
    image_px = min(grid.rows, grid.columns) * size.patch_px
    whole_patches = _EVALUATED_PX // size.patch_px * size.patch_px
    bases = {"heads": size.heads_basis, "grid": grid.basis, **norm_basis(wishes)}
    return Reading(config, image_px, tensors, min(image_px, whole_patches), bases=bases)


def norm_basis(wishes: Wishes) -> dict[str, Basis]:
    """Returns the origin of the norms' epsilon; empty if no epsilon is given."""
    return {} if wishes.norm_eps is None else {"norm eps": wishes.basis("--norm-eps")}


def _grid(tensors: Tensors, num_prefix: int, wishes: Wishes, covers_prefix: bool | None) -> Grid:
    positions = tensors.get("pos_embed")
    if positions is None or positions.dim() != 3:
        raise PoiseError("there are no position embeddings (pos_embed [1, tokens, D])")
    return read_grid(positions.shape[1], num_prefix, wishes, covers_prefix)


def _parts(tensors: Tensors, wishes: Wishes) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if (ratio := mlp_ratio(tensors)) != 4:
        options["mlp_ratio"] = ratio
    if "blocks.0.attn.qkv.bias" not in tensors:
        options["qkv_bias"] = False
    if "blocks.0.attn.q_norm.weight" in tensors:
        options["qk_norm"] = True
    if "blocks.0.ls1.gamma" in tensors:
        options["init_values"] = 1e-5
    if wishes.norm_eps not in (None, NORM_EPS):
        options["norm_eps"] = wishes.norm_eps
    return options


def _pooling(tensors: Tensors, has_cls: bool) -> dict[str, Any]:
    """Derives the pooling from the last norm: ``fc_norm`` means the mean over patches."""
    pools = "fc_norm.weight" in tensors and "norm.weight" not in tensors
    if not has_cls:
        return {"class_token": False, "global_pool": "avg", "fc_norm": pools}
    return {"global_pool": "avg"} if pools else {}


def _positions(grid: Grid, registers: int, patch_px: int) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if grid.covers_prefix == bool(registers):  # new backbones do the opposite
        options["no_embed_class"] = not grid.covers_prefix
    if grid.rows != grid.columns:
        options["img_size"] = [grid.rows * patch_px, grid.columns * patch_px]
    return options


def _name(embed_dim: int, patch_px: int) -> str:
    """Returns timm's name of a model of this width and patch size, or of the smallest model.

    The options of the model then set all dimensions that differ.
    """
    import timm

    size = SIZES[embed_dim].name if embed_dim in SIZES else "tiny"
    name = f"vit_{size}_patch{patch_px}_224"
    return name if timm.is_model(name) else "vit_tiny_patch16_224"
