"""Many classifiers on frozen features, trained at the same time.

In: a dict from names to inputs. An input is a feature vector or the tokens of each image. Out:
logits of every head. Next: ``poise.objectives.probe``.

The heads of one input differ only in their learning rate. They start with equal weights and do not
influence each other. So each head learns the same as if it were trained alone. All heads are
computed together, with the same matrix products. Shapes: B images, T tokens, G heads, C classes. D
is the length of a feature vector or token.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.models.heads.abmilp import Abmilp, pool_together

_NORM_EPSILON = 1e-6  # of the published probes' batch norm


class HeadGrid(nn.Module):
    """G linear classifiers (heads) of the same input.

    The input is a feature vector, or tokens that each head first pools to a feature vector.
    """

    def __init__(
        self,
        dim: int,
        num_classes: int,
        num_heads: int,
        weight_std: float,
        batch_norm: bool,
        pool: Abmilp | None = None,
    ):
        """Creates G heads with equal initial weights.

        Args:
            dim: length D of a feature vector or token.
            num_classes: number of classes C.
            num_heads: number of heads G.
            weight_std: standard deviation of the initial weights; 0 uses PyTorch's initialisation.
            batch_norm: whether the classifier's input is standardised by batch statistics.
            pool: module that pools tokens to a feature vector; each head trains its own copy. None
                if the input is a feature vector.
        """
        super().__init__()
        first = nn.Linear(dim, num_classes)
        if weight_std:
            nn.init.normal_(first.weight, std=weight_std)
            nn.init.zeros_(first.bias)
        pools = [copy.deepcopy(pool) for _ in range(num_heads)] if pool else []
        self.pools = nn.ModuleList(pools)
        width = dim * num_heads if pool else dim
        self.norm: nn.Module = nn.Identity()
        if batch_norm:
            self.norm = nn.BatchNorm1d(width, affine=False, eps=_NORM_EPSILON)
        self.linears = nn.ModuleList(copy.deepcopy(first) for _ in range(num_heads))

    def forward(self, x: Tensor) -> Tensor:
        """Computes logits [B, G, C] from feature vectors [B, D], or from tokens [B, T, D]."""
        linears: list[Any] = list(self.linears)
        pools: list[Any] = list(self.pools)
        weights, biases = [each.weight for each in linears], [each.bias for each in linears]
        if not pools:
            logits = F.linear(self.norm(x), torch.cat(weights), torch.cat(biases))
            apart: Tensor = logits.unflatten(1, (len(linears), -1))
            return apart
        pooled = pool_together(pools, x)  # [B, G, D]
        pooled = self.norm(pooled.flatten(1)).view_as(pooled)
        return torch.einsum("bgd,gcd->bgc", pooled, torch.stack(weights)) + torch.stack(biases)

    def members(self, head: int) -> list[nn.Parameter]:
        """Returns the trained parameters of one head."""
        modules = [self.linears[head], *([self.pools[head]] if len(self.pools) else [])]
        return [parameter for module in modules for parameter in module.parameters()]


class ProbeHeads(nn.Module):
    """One ``HeadGrid`` for each of several inputs."""

    def __init__(self, grids: Mapping[str, HeadGrid]):
        super().__init__()
        self.grids = nn.ModuleDict(grids)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Computes logits [B, G, C] of each input, with the same names as the inputs."""
        return {name: grid(features[name]) for name, grid in self.grids.items()}
