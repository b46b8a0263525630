"""The plain vision transformer, as DINO, MAE and timm name it: the three agree.

In: tensors under those names. Out: a ``Reading``. Next: ``poise.models.published.layouts``.
"""

from typing import Any

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.published.shapes import SIZES, Wishes, measure, mlp_ratio, square_side
from poise.models.published.translation import Reading, Tensors

_EVALUATED_PX = 224  # also where positions are for 518, as DINOv2's


def read_vit(tensors: Tensors, wishes: Wishes) -> Reading:
    """A vision transformer with learned or fixed positions; registers and LayerScale allowed."""
    size = measure(tensors, wishes)
    registers = tensors["reg_token"].shape[1] if "reg_token" in tensors else 0
    has_cls = "cls_token" in tensors
    grid, covered = _grid(tensors, registers + has_cls)
    options: dict[str, Any] = dict(size.options)
    if (ratio := mlp_ratio(tensors)) != 4:
        options["mlp_ratio"] = ratio
    if "blocks.0.attn.qkv.bias" not in tensors:
        options["qkv_bias"] = False
    if "blocks.0.ls1.gamma" in tensors:
        options["init_values"] = 1e-5
    if not has_cls:
        options |= {"class_token": False, "global_pool": "avg", "fc_norm": False}
    if covered == bool(registers):  # the rule of new backbones is the other way
        options["no_embed_class"] = not covered
    config = BackboneConfig(
        name=_name(size.embed_dim, size.patch_px),
        num_registers=registers,
        drop_path=0,
        options=options,
    )
    image_px = grid * size.patch_px
    whole_patches = _EVALUATED_PX // size.patch_px * size.patch_px
    return Reading(config, image_px, tensors, min(image_px, whole_patches))


def _grid(tensors: Tensors, num_prefix: int) -> tuple[int, bool]:
    """Patches along a side, and whether the prefix tokens have positions too."""
    positions = tensors.get("pos_embed")
    if positions is None or positions.dim() != 3:
        raise PoiseError("there are no position embeddings (pos_embed [1, tokens, D])")
    length = positions.shape[1]
    # With registers, positions of patches alone come first: it is how they were published.
    order = (True, False) if num_prefix == 1 else (False, True)
    for covered in order:
        side = square_side(length - num_prefix * covered)
        if side:
            return side, covered and num_prefix > 0
    raise PoiseError(f"pos_embed has {length} positions: no square of patches, nor with a prefix")


def _name(embed_dim: int, patch_px: int) -> str:
    """What timm calls the published size, or the smallest, whose options then say the rest."""
    import timm

    size = SIZES[embed_dim].name if embed_dim in SIZES else "tiny"
    name = f"vit_{size}_patch{patch_px}_224"
    return name if timm.is_model(name) else "vit_tiny_patch16_224"
