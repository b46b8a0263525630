"""What is trained: the published sizes of DINO and MAE, and small ones for a smoke test."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from poise.config import Recipe
from tests.benchmarks import bench_dino_step as dino
from tests.benchmarks import bench_mae_step as mae


class Size(Protocol):
    """Sizes of a workload."""

    @property
    def batch_size(self) -> int: ...

    def recipe(self, precision: str) -> Recipe: ...

    def matmul_flops(self) -> float: ...


@dataclass(frozen=True)
class Workload:
    """An objective with a backbone, and its published step."""

    title: str
    size: Any
    """A ``Size``, which is also a dataclass."""

    published: Callable[[Any, str, torch.device], Iterator[Tensor]]

    def enlarged(self, times: int) -> Size:
        """Returns the sizes with a larger batch."""
        enlarged: Size = replace(self.size, batch_size=times * self.size.batch_size)
        return enlarged


_DINO_VIT_SMALL = dino.ON_GPU
_MAE_VIT_BASE = mae.ON_GPU
_TINY_DINO = dino.Size(
    32, 16, 8, dim=48, depth=2, num_heads=3, batch_size=4, num_prototypes=64, local_count=2
)
_TINY_MAE = mae.Size(32, 8, (48, 2, 3), (32, 1, 2), batch_size=4)


def workloads(tiny: bool) -> dict[str, Workload]:
    """Returns the workloads by their part's name. Batches are those of one GPU in the papers."""
    small = _TINY_DINO if tiny else _DINO_VIT_SMALL
    masked = _TINY_MAE if tiny else _MAE_VIT_BASE
    base = small if tiny else replace(small, dim=768, num_heads=12)
    masked_small = masked if tiny else replace(masked, encoder=(384, 12, 6))
    return {
        "dino-vit-s": Workload("DINO ViT-S/16", small, dino.published_steps),
        "mae-vit-b": Workload("MAE ViT-B/16", masked, mae.published_steps),
        "dino-vit-b": Workload("DINO ViT-B/16", base, dino.published_steps),
        "mae-vit-s": Workload("MAE ViT-S/16", masked_small, mae.published_steps),
    }
