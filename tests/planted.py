"""A small transformer with one register neuron, whose outliers are known."""

from collections.abc import Sequence
from typing import Any

import timm
import torch
from torch import Tensor

from poise.models.backbone import VitBackbone

WIDTH, DEPTH, PATCH_PX, IMAGE_PX = 32, 3, 8, 32
SIZES = {"patch_size": PATCH_PX, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": 2}

BLOCK, NEURON = 1, 77
"""Block and hidden unit of the register neuron."""

TRIGGER = 3
"""Value of every pixel of a patch that becomes an outlier."""

_LENGTH = 5.0  # of what the neuron writes at activation 1; it fires with about 35


def planted_backbone(**options: Any) -> VitBackbone:
    """Neuron ``NEURON`` of block ``BLOCK`` fires at patches that are bright in every pixel.

    The mean brightness of a patch has a channel of its own, which no block writes to. Fires means:
    the neuron's activation is about 35 there and 0 elsewhere, and it writes a vector that is some
    hundred times as long as an ordinary patch.
    """
    torch.manual_seed(0)
    fixed = {"img_size": IMAGE_PX, "num_classes": 0, "dynamic_img_size": True}
    arguments = {**SIZES, **fixed, **options}
    backbone = VitBackbone(timm.create_model("vit_tiny_patch16_224", **arguments).eval())
    model: Any = backbone.timm_model
    with torch.no_grad():
        _read_brightness(model)
        mlp = model.blocks[BLOCK].mlp
        mlp.fc1.weight[NEURON] = 0
        mlp.fc1.weight[NEURON, 0] = 20
        mlp.fc1.bias[NEURON] = -60  # the norm makes nearly √32 = 5.66 of a channel that dominates
        mlp.fc2.weight[:, NEURON] = 0
        # Channels add up to 0, so that the norm's mean stays where it was.
        mlp.fc2.weight[1, NEURON], mlp.fc2.weight[2, NEURON] = 1, -1
        mlp.fc2.weight[:, NEURON] *= _LENGTH / 2**0.5
    return backbone


def mark(images: Tensor, places: Sequence[tuple[int, int]]) -> Tensor:
    """Makes patches bright: pairs of image and patch, patches row-major."""
    marked = images.clone()
    columns = images.shape[3] // PATCH_PX
    for image, patch in places:
        top, left = patch // columns * PATCH_PX, patch % columns * PATCH_PX
        marked[image, :, top : top + PATCH_PX, left : left + PATCH_PX] = TRIGGER
    return marked


def _read_brightness(model: Any) -> None:
    """Gives brightness channel 0, and keeps every block from writing to it."""
    weight = model.patch_embed.proj.weight
    weight -= weight.mean(dim=(1, 2, 3), keepdim=True)  # the others see no brightness
    weight[0] = 1 / (3 * PATCH_PX**2 * TRIGGER)
    model.patch_embed.proj.bias[0] = 0
    model.pos_embed[..., 0] = 0
    for block in model.blocks:
        for layer in (block.attn.proj, block.mlp.fc2):
            layer.weight[0] = 0
            layer.bias[0] = 0
