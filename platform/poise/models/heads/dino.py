"""Projection head of DINO, with its published parameter names."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.config.objectives import HeadConfig

_INIT_STD = 0.02


class Prototypes(nn.Module):
    """K prototypes: a weight-normalised linear layer without bias.

    The direction ``weight_v`` [K, D] and the norm ``weight_g`` [K, 1] are separate parameters. So
    published checkpoints load without changes.
    """

    def __init__(self, in_dim: int, num_prototypes: int, normalized: bool):
        super().__init__()
        direction = nn.Linear(in_dim, num_prototypes, bias=False).weight
        self.weight_v = nn.Parameter(direction.detach())
        self.weight_g = nn.Parameter(torch.ones(num_prototypes, 1), requires_grad=not normalized)

    def forward(self, x: Tensor) -> Tensor:
        """Computes logits [n, K] of features [n, D].

        If prototypes and features have norm 1, logits are cosines.
        """
        # Fused: with large K, separate norm, quotient and product would cost as much as the
        # logits.
        return F.linear(x, torch._weight_norm(self.weight_v, self.weight_g, 0))


class DinoHead(nn.Module):
    """Head of DINO: an MLP, a bottleneck whose output is L2-normalised, and the prototypes.

    Source: arXiv 2104.14294, appendix C.
    """

    def __init__(self, in_dim: int, num_prototypes: int, config: HeadConfig):
        super().__init__()
        self.mlp = _mlp(in_dim, config)
        self.last_layer = Prototypes(
            config.bottleneck_dim, num_prototypes, config.normalize_last_layer
        )

    def forward(self, features: Tensor) -> Tensor:
        """Computes logits [n, K] of features [n, D]."""
        logits: Tensor = self.last_layer(F.normalize(self.mlp(features), dim=-1))
        return logits


def _mlp(in_dim: int, config: HeadConfig) -> nn.Module:
    widths = [in_dim, *[config.hidden_dim] * (config.num_layers - 1), config.bottleneck_dim]
    linears = [nn.Linear(a, b) for a, b in pairwise(widths)]
    for linear in linears:
        nn.init.trunc_normal_(linear.weight, std=_INIT_STD)
        nn.init.zeros_(linear.bias)
    if len(linears) == 1:
        return linears[0]
    modules: list[nn.Module] = []
    for linear in linears[:-1]:
        norm = [nn.BatchNorm1d(linear.out_features)] if config.batch_norm else []
        modules += [linear, *norm, nn.GELU()]
    return nn.Sequential(*modules, linears[-1])
