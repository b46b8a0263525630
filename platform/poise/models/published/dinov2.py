"""Layout of DINOv2 (arXiv 2304.07193), with and without registers (arXiv 2309.16588).

In: tensors with DINOv2's names. Out: a ``Reading`` (architecture and weights). Next:
``poise.models.published.layouts``.
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from poise.config.errors import PoiseError
from poise.models.published.preparation import published
from poise.models.published.shapes import SIZES, Wishes, mlp_ratio
from poise.models.published.translation import Reading, Tensors, renamed
from poise.models.published.vit import read_vit


def read_dinov2(tensors: Tensors, wishes: Wishes) -> Reading:
    """Converts blocks in chunks, SwiGLU and registers to timm's names.

    DINOv2 adds positions to [cls] and patches, and then inserts registers between [cls] and
    patches. timm's models with registers add positions only to patches. So this function adds the
    position of [cls] to the [cls] token.
    """
    tensors = renamed(
        tensors,
        (
            r"^blocks\.\d+\.(\d+)\.",
            r"blocks.\1.",
        ),  # the inner number counts the blocks of all chunks
        (r"^(blocks\.\d+\.mlp)\.w12\.", r"\1.fc1."),
        (r"^(blocks\.\d+\.mlp)\.w3\.", r"\1.fc2."),
        (r"^register_tokens$", "reg_token"),
    )
    registers = "reg_token" in tensors
    if registers:
        tensors = _without_class_position(tensors)
    reading = read_vit(tensors, wishes, covers_prefix=not registers)
    gated = _is_gated(tensors)
    width = tensors["patch_embed.proj.weight"].shape[0]
    size = "giant" if gated else SIZES[width].name if width in SIZES else "small"
    options = dict(reading.backbone.options)
    if gated:
        options["mlp_ratio"] = mlp_ratio(tensors)
    backbone = reading.backbone.model_copy(
        update={
            "name": f"vit_{size}_patch14{'_reg4' if registers else ''}_dinov2",
            "options": options,
            # Published models with registers resize positions with antialiasing; models without
            # registers resize as DINO does.
            "position_resampling": "timm" if registers else "dino",
        }
    )
    notes = ("the position of [cls] was added to its token",) if registers else ()
    return replace(
        reading, backbone=backbone, tensors=tensors, notes=notes, preparation=published("DINOv2")
    )


def _without_class_position(tensors: Tensors) -> Tensors:
    positions, token = tensors.get("pos_embed"), tensors.get("cls_token")
    if positions is None or token is None:
        raise PoiseError("registers need pos_embed and cls_token, and one of them is missing")
    return tensors | {"cls_token": token + positions[:, :1], "pos_embed": positions[:, 1:]}


def _is_gated(tensors: Mapping[str, Tensor]) -> bool:
    """Returns True if the MLP is a SwiGLU.

    The first layer of a SwiGLU has twice as many outputs as its second layer has inputs.
    """
    inner, outer = (tensors.get(f"blocks.0.mlp.{name}.weight") for name in ("fc1", "fc2"))
    return inner is not None and outer is not None and inner.shape[0] == 2 * outer.shape[1]
