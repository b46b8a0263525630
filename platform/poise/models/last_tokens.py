"""Computes a transformer's output tokens for a few images.

In: a backbone during training, and images. Out: the tokens after the last block, before and after
the last norm. Next: ``poise.diagnostics.patches``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from poise.models.backbone import VitBackbone, has_class_token
from poise.models.relative import RelativeBackbone

OBSERVED_IMAGES = 16
"""Largest number of images per worker whose tokens are computed for diagnostics."""


@dataclass(frozen=True)
class LastTokens:
    """Tokens after the last block, of n images with N patches each."""

    patches: Tensor  # [n, N, D] after the last norm
    patch_norms: Tensor  # [n, N] before the last norm
    class_tokens: Tensor | None = None  # [n, D] after it, if the backbone has [cls]
    class_norms: Tensor | None = None  # [n] before it, if the backbone has [cls]
    register_norms: Tensor | None = None  # [n, R] before it, if there are R > 0 registers


@torch.no_grad()
def last_tokens(backbone: nn.Module, images: Tensor) -> LastTokens | None:
    """Computes the last tokens of normalised images [n, 3, h, w]; None for a residual network.

    The backbone runs in evaluation mode. So no branch is dropped, and no random number is used.
    Cost: one forward pass.
    """
    if not isinstance(backbone, VitBackbone | RelativeBackbone):
        return None
    with _evaluating(backbone):
        raw = backbone.block_outputs(images, 1)[0]
        normed = backbone.last_norm(raw).float()
    norms = torch.linalg.vector_norm(raw.float(), dim=-1)  # [n, T]
    with_class, start = int(has_class_token(backbone)), backbone.num_prefix_tokens
    return LastTokens(
        patches=normed[:, start:],
        patch_norms=norms[:, start:],
        class_tokens=normed[:, 0] if with_class else None,
        class_norms=norms[:, 0] if with_class else None,
        register_norms=norms[:, with_class:start] if start > with_class else None,
    )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Sets all submodules to evaluation mode inside the ``with`` block.

    After the block, each submodule has its old mode again.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
