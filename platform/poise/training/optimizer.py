"""Optimisers with the published parameter groups, and gradient clipping."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from poise.cluster.sharded_tensors import is_sharded, norms_over_workers, part_here, parts_here
from poise.config.recipe import OptimizerConfig, Recipe
from poise.objectives.base import RunPosition
from poise.objectives.schedules import Warmup, cosine

_CLIP_EPSILON = 1e-6  # added to the norm, as published


def build_optimizer(
    config: OptimizerConfig, module: nn.Module, groups: list[dict[str, Any]] | None = None
) -> Optimizer:
    """Makes the recipe's optimiser for the parameters of ``module``.

    Learning rates are set at each step.

    Args:
        config: optimiser settings of the recipe.
        module: trained module.
        groups: parameter groups of the objective; None makes the default groups
            (``parameter_groups``).
    """
    return _OPTIMIZERS[config.name](groups or parameter_groups(module), config)


def parameter_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Makes the default groups, as published: with weight decay, and without weight decay.

    Biases and norms have no weight decay. Position embeddings, [cls], registers and the prototypes
    have weight decay.
    """
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    spared = [p for name, p in named if p.ndim == 1 or name.endswith(".bias")]
    decayed = [p for name, p in named if not (p.ndim == 1 or name.endswith(".bias"))]
    return [
        {"params": decayed, "is_decayed": True},
        {"params": spared, "is_decayed": False, "weight_decay": 0.0},
    ]


def schedules(recipe: Recipe, position: RunPosition) -> dict[str, float]:
    """Computes the learning rate and weight decay at this step. Keys are the names in the log."""
    config, step, total = recipe.optimizer, position.step, position.total_steps
    warmup_steps = round(config.warmup_epochs * position.steps_per_epoch)
    warmup = Warmup(warmup_steps, meets_peak=config.warmup_meets_peak)
    decay, final_decay = config.weight_decay, config.final_weight_decay
    return {
        "schedule/lr": cosine(step, total, recipe.peak_lr, config.final_lr, warmup),
        "schedule/weight_decay": (
            decay if final_decay is None else cosine(step, total, decay, final_decay)
        ),
    }  # fmt: skip


def set_schedules(optimizer: Optimizer, values: dict[str, float]) -> None:
    """Sets the optimiser's learning rate and weight decay for this step."""
    for group in optimizer.param_groups:
        group["lr"] = values["schedule/lr"] * group.get("lr_scale", 1.0)
        if group["is_decayed"]:
            group["weight_decay"] = values["schedule/weight_decay"]


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> Tensor:
    """Clips the gradients to the recipe's limit. Returns the total norm before clipping.

    ``per_tensor`` limits the norm of each tensor separately, as published. ``global`` limits the
    norm of all gradients together. With a limit of 0 the norm is only measured. If gradients are
    sharded, the norms of whole tensors are used, and all workers must call this function.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    parts = parts_here(gradients)
    norms = norms_over_workers(parts, is_sharded(gradients))  # [tensors]
    total: Tensor = torch.linalg.vector_norm(norms)
    if config.clip_grad:
        measured = norms if config.clip_mode == "per_tensor" else total.expand_as(norms)
        scales = (config.clip_grad / (measured + _CLIP_EPSILON)).clamp(max=1)
        torch._foreach_mul_(parts, list(scales.unbind()))
    return total


class Lars(Optimizer):
    """Layer-wise adaptive rate scaling (arXiv 1708.03888), as used by MoCo v3, MAE and DINO.

    Matrices have weight decay and a step of ``trust × ‖w‖ / ‖gradient‖``. Biases and norms use
    plain momentum.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.0,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        trust: float = 0.001,
    ):
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "trust": trust}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Updates the parameters once. If they are sharded, all workers must call this method."""
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            matrices = [p for p in trained if p.ndim > 1]
            others = [p for p in trained if p.ndim <= 1]
            if matrices:
                self._move(matrices, self._scaled(matrices, group), group)
            self._move(others, _gradients_here(others), group)

    def _scaled(self, matrices: Sequence[Tensor], group: dict[str, Any]) -> Sequence[Tensor]:
        """Adds weight decay to the gradients, then scales each by LARS's ratio of norms.

        The ratio is the norm of the whole weight matrix, divided by the norm of its gradient.
        """
        weights, sharded = parts_here(matrices), is_sharded(matrices)
        gradients = torch._foreach_add(
            _gradients_here(matrices), weights, alpha=group["weight_decay"]
        )
        weight_norms = norms_over_workers(weights, sharded)
        gradient_norms = norms_over_workers(gradients, sharded)
        both = (weight_norms > 0) & (gradient_norms > 0)
        ratios = group["trust"] * weight_norms / gradient_norms.clamp(min=1e-30)
        ratios = torch.where(both, ratios, torch.ones_like(ratios))
        torch._foreach_mul_(gradients, list(ratios.unbind()))
        return gradients

    def _move(
        self, parameters: Sequence[Tensor], steps: Sequence[Tensor], group: dict[str, Any]
    ) -> None:
        for parameter, step in zip(parameters, steps, strict=True):
            state = self.state[parameter]
            if "velocity" not in state:
                state["velocity"] = torch.zeros_like(parameter)
            velocity = part_here(state["velocity"])
            velocity.mul_(group["momentum"]).add_(step)
            part_here(parameter).add_(velocity, alpha=-group["lr"])


def _gradients_here(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Returns this worker's part of each gradient."""
    return parts_here(p.grad for p in parameters if p.grad is not None)


_OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]], OptimizerConfig], Optimizer]] = {
    "adamw": lambda groups, config: AdamW(groups, betas=config.betas, fused=True),
    "sgd": lambda groups, config: SGD(groups, momentum=config.momentum),
    "lars": lambda groups, config: Lars(groups, momentum=config.momentum),
}
