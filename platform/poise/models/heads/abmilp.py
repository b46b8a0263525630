"""AbMILP: learned attention pooling of a frozen backbone's tokens (arXiv 2412.03215, section 5).

In: tokens [B, T, D] of a backbone's last block, before the last norm. Out: one feature per image
[B, D]. Next: ``poise.models.heads.grid`` adds a linear classifier after it.

As published, for tokens x: u is self-attention(x) or x, plus positions if the variant uses
positions. s = predictor(u) is one number per token. a = softmax(s) over tokens. The feature is Σ
a·x. The names of parameters are those of the published heads.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.config.probes import AbmilpConfig
from poise.models.mae import sincos_positions

_ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
_LINEAR = ("weight", "bias")


class Abmilp(nn.Module):
    """Pools tokens by a learned attention.

    The published recipe (depth 1, no self-attention, no positions, only patches) has D + 1
    parameters.
    """

    pos_embed: Tensor

    def __init__(
        self, dim: int, grid: tuple[int, int], num_prefix_tokens: int, config: AbmilpConfig
    ):
        """Initialises the weights.

        Args:
            dim: width D of the tokens.
            grid: rows and columns of patches.
            num_prefix_tokens: tokens before the patches: [cls] and registers.
            config: settings of the variant.
        """
        super().__init__()
        self.config = config
        self.num_skipped = num_prefix_tokens if config.content == "patch" else 0
        if config.condition == "pe":
            prefix = torch.zeros(num_prefix_tokens - self.num_skipped, dim)
            positions = sincos_positions(dim, grid)
            self.register_buffer("pos_embed", torch.cat([prefix, positions])[None])
        if config.self_attention != "none":
            self.self_attn = SelfAttention(dim)
        layers: list[nn.Module] = []
        for _ in range(config.depth - 1):
            layers += [nn.Linear(dim, dim), _ACTIVATIONS[config.activation]()]
        self.attention_predictor = nn.Sequential(*layers, nn.Linear(dim, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        """Computes features [B, D] of tokens [B, prefix + N, D]."""
        return self.pool(tokens)[0]

    def pool(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Computes features [B, D], and the attention [B, n, 1] over the n pooled tokens."""
        config = self.config
        content = tokens[:, self.num_skipped :]
        mixed = content if config.self_attention == "none" else self.self_attn(content)
        looked_at = mixed
        if config.condition == "pe":
            looked_at = looked_at + self.pos_embed.to(looked_at.dtype)
        attention = self.attention_predictor(looked_at).softmax(dim=1)
        pooled = mixed if config.self_attention == "both" else content
        return (attention.transpose(1, 2) @ pooled).squeeze(1), attention


def pool_together(pools: Sequence[Abmilp], tokens: Tensor) -> Tensor:
    """Pools the same tokens with each of G modules of the same configuration.

    In the paper's recipe, each predictor is one linear layer on the tokens. Then a single matrix
    product computes all predictors.

    Args:
        pools: the G modules.
        tokens: tokens [B, T, D].

    Returns:
        Features [B, G, D].
    """
    config = pools[0].config
    if config.depth > 1 or config.self_attention != "none":
        return torch.stack([pool(tokens) for pool in pools], dim=1)
    content = tokens[:, pools[0].num_skipped :]
    looked_at = content + pools[0].pos_embed if config.condition == "pe" else content
    layers = [pool.attention_predictor[0] for pool in pools]
    weight, bias = (torch.cat([getattr(layer, name) for layer in layers]) for name in _LINEAR)
    attention = F.linear(looked_at, weight, bias).softmax(dim=1)  # [B, n, G]
    return attention.transpose(1, 2) @ content


class SelfAttention(nn.Module):
    """Self-attention with one head, without norm and without residual connection."""

    def __init__(self, dim: int):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)
        self._scale = dim**-0.5

    def forward(self, tokens: Tensor) -> Tensor:
        """Applies self-attention to n tokens. Input and output are [B, n, D]."""
        queries, keys, values = self.qkv(tokens).chunk(3, dim=-1)
        weights = (queries * self._scale @ keys.transpose(1, 2)).softmax(dim=-1)
        mixed: Tensor = self.proj(weights @ values)
        return mixed
