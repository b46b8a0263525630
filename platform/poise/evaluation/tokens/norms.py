"""Measures the norms of tokens after each block. They show where patches become outliers.

In: traces of a backbone's blocks. Out: statistics by block, defined as in
``poise.diagnostics.patches``, which training logs for the last block only. Next:
``poise.evaluation.tokens.attention`` reports the statistics.
"""

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor

from poise.diagnostics.patches import mean_norm, norm_bimodality, norm_quantiles, outlier_share
from poise.models.block_traces import BlockTrace

NORM_IMAGES = 512
"""Largest number of images whose token norms are stored. The limit exists because a quantile needs
all norms at once.
"""


def norm_statistics(
    norms: Tensor, num_prefix_tokens: int, with_class_token: bool
) -> Iterator[tuple[str, Tensor]]:
    """Computes statistics of the norms of one block's tokens.

    ``pos_norm_q50``, ``_q90``, ``_q99`` and ``_max`` are quantiles over the patches of all images
    together. ``pos_norm_bimodality`` and ``pos_outlier_share`` use the same patches. ``cls_norm``
    and ``register_norm_1`` … are means over images. If a backbone has no [cls] or no registers,
    their statistics are left out.

    Source: registers (arXiv 2309.16588, section 2.1). There the outliers separate from other
    patches around block 15 of 40. Cost: a sort of B·N numbers.

    Healthy: in every block the largest patch is at most a few times the median, and there are no
    outliers. Norms grow slowly from block to block, as in any residual stream. Broken: from some
    middle block on, the 99th percentile or the maximum is about ten times the median, and 1 % or
    more of the patches are outliers. Such patches contain no information about their position. Then
    add registers (``backbone.num_registers``). If registers work, their norms are larger than the
    median patch from that block on, and the outliers disappear.

    Args:
        norms: norms of the residual stream, before any norm layer, [B, T].
        num_prefix_tokens: number of tokens before the patches. [cls] is the first of them.
        with_class_token: whether token 0 is [cls].

    Yields:
        Name and value, 0-dimensional.
    """
    patches = norms[:, num_prefix_tokens:]
    for name, value in norm_quantiles(patches).items():
        yield f"pos_norm_{name}", value
    yield "pos_norm_bimodality", norm_bimodality(patches)
    yield "pos_outlier_share", outlier_share(patches)
    if with_class_token:
        yield "cls_norm", mean_norm(norms[:, 0])
    registers = norms[:, int(with_class_token) : num_prefix_tokens]
    for number, of_register in enumerate(registers.unbind(dim=1), start=1):
        yield f"register_norm_{number}", mean_norm(of_register)


class TokenNorms:
    """Collects the norms of tokens after each block, for some images of a pass.

    For 12 blocks, 512 images of 197 tokens take 5 MB.
    """

    def __init__(self, num_images: int, num_prefix_tokens: int, with_class_token: bool) -> None:
        """Starts without images.

        Args:
            num_images: number of images in the pass.
            num_prefix_tokens: number of tokens before the patches. [cls] is the first of them.
            with_class_token: whether token 0 is [cls].
        """
        self.every = -(-num_images // NORM_IMAGES)
        self._tokens = (num_prefix_tokens, with_class_token)
        self._norms: defaultdict[int, list[Tensor]] = defaultdict(list)  # [n, T] each, by block
        self._seen: defaultdict[int, int] = defaultdict(int)  # images, by block

    @property
    def num_images(self) -> int:
        """Number of images whose norms were collected so far."""
        return sum(len(norms) for norms in self._norms[0])

    def add(self, block: BlockTrace) -> None:
        """Adds the norms of a batch's tokens after one block."""
        chosen = block.outputs[-self._seen[block.index] % self.every :: self.every]
        self._seen[block.index] += len(block.outputs)
        self._norms[block.index].append(torch.linalg.vector_norm(chosen.float(), dim=-1).cpu())

    def blocks(self) -> tuple[dict[str, float], ...]:
        """Returns the statistics of the norms so far, for each block."""
        return tuple(
            {
                name: value.item()
                for name, value in norm_statistics(torch.cat(self._norms[index]), *self._tokens)
            }
            for index in sorted(self._norms)
        )
