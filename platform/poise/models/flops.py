"""Floating-point operations of a transformer, counted from its layers.

In: a backbone and an image size. Out: a number. Next: ``poise.training.loop``, which logs it with
the measured time of a step.
"""

from typing import Any

from torch import nn

from poise.models.backbone import VitBackbone
from poise.models.relative import RelativeBackbone


def forward_flops(backbone: nn.Module, image_px: int) -> float | None:
    """Counts the operations of one forward pass of one image; a product and a sum are two.

    Counted are matrix products: the patch embedding, every linear layer of the blocks for each
    token, and the two products of attention. The rest is about 1 % and is left out. For N patches
    and P prefix tokens T = N + P, so registers cost by their share of tokens and a little more.

    Args:
        backbone: a backbone of ``poise.models.backbone``.
        image_px: side of the image in pixels.

    Returns:
        None for a backbone without transformer blocks.
    """
    if not isinstance(backbone, VitBackbone | RelativeBackbone):
        return None
    model: Any = backbone.timm_model
    num_patches = (image_px // backbone.patch_px) ** 2
    num_tokens = num_patches + backbone.num_prefix_tokens
    flops = 2.0 * num_patches * _num_weights(model.patch_embed, nn.Conv2d)
    for block in model.blocks:
        width = block.attn.proj.in_features  # heads × width of a head, in every kind of block
        flops += 2 * num_tokens * _num_weights(block, nn.Linear) + 4 * num_tokens**2 * width
    return flops


def _num_weights(module: nn.Module, kind: type[nn.Module]) -> int:
    """Counts the weights of all layers of a kind, without biases."""
    layers: list[Any] = [each for each in module.modules() if isinstance(each, kind)]
    return sum(layer.weight.numel() for layer in layers)
