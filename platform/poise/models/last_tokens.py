"""What a transformer says of every part of a few images.

In: a backbone in the midst of training, and images. Out: its last tokens, before and after the
last norm. Next: ``poise.diagnostics.patches``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from poise.models.backbone import VitBackbone, has_class_token
from poise.models.relative import RelativeBackbone

OBSERVED_IMAGES = 16
"""At most so many images' tokens are looked at, on each worker."""


@dataclass(frozen=True)
class LastTokens:
    """Tokens of n images with N patches each, as they leave the last block."""

    patches: Tensor  # [n, N, D] after the last norm
    patch_norms: Tensor  # [n, N] before it
    class_tokens: Tensor | None = None  # [n, D] after it, where the backbone has them
    class_norms: Tensor | None = None  # [n] before it, likewise
    register_norms: Tensor | None = None  # [n, R] before it, where there are R > 0 registers


@torch.no_grad()
def last_tokens(backbone: nn.Module, images: Tensor) -> LastTokens | None:
    """The last tokens of normalised images [n, 3, h, w]; none of a network without tokens.

    As in evaluation: nothing is dropped, and no random number is drawn. Cost: a forward pass.
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
    """Evaluation mode for a while; every part is in its own mode again afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
