"""Counts the floating-point operations of a transformer from the sizes of its layers.

In: a backbone and an image size. Out: a number of operations. Next: ``poise.training.loop``, which
logs the number.
"""

from typing import Any

from torch import nn

from poise.models.backbone import VitBackbone
from poise.models.relative import RelativeBackbone


def forward_flops(backbone: nn.Module, image_px: int) -> float | None:
    """Counts the operations of one forward pass of one image. A multiply-add counts as two.

    Only matrix products are counted: the patch embedding, the linear layers of the blocks, and the
    two products of attention. All other operations are about 1 % and are left out. With N patches
    and P prefix tokens, the number of tokens is T = N + P, so registers also count.

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
