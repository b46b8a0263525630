"""Optimisers with the published parameter groups, and gradient clipping."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

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
        groups: groups of its parameters, if the objective has its own (``parameter_groups``).
    """
    return _OPTIMIZERS[config.name](groups or parameter_groups(module), config)


def parameter_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Makes two groups, as published: with weight decay, and without it (biases and norms).

    Position embeddings, [cls], registers and the prototypes have weight decay.
    """
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    spared = [p for name, p in named if p.ndim == 1 or name.endswith(".bias")]
    decayed = [p for name, p in named if not (p.ndim == 1 or name.endswith(".bias"))]
    return [
        {"params": decayed, "is_decayed": True},
        {"params": spared, "is_decayed": False, "weight_decay": 0.0},
    ]


def schedules(recipe: Recipe, position: RunPosition) -> dict[str, float]:
    """Computes the learning rate and weight decay at this step, by their logged names."""
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
    """Scales gradients down to the recipe's limit. Returns the total norm before clipping.

    ``per_tensor`` limits each tensor separately, as published; ``global`` limits all of them
    together. With a limit of 0 the norm is only measured.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack(torch._foreach_norm(gradients))  # [tensors]
    total: Tensor = torch.linalg.vector_norm(norms)
    if config.clip_grad:
        measured = norms if config.clip_mode == "per_tensor" else total.expand_as(norms)
        scales = (config.clip_grad / (measured + _CLIP_EPSILON)).clamp(max=1)
        torch._foreach_mul_(gradients, list(scales.unbind()))
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
        """Carries out one update."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        if parameter.ndim > 1:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
            weight_norm, gradient_norm = parameter.norm(), gradient.norm()
            both = (weight_norm > 0) & (gradient_norm > 0)
            ratio = group["trust"] * weight_norm / gradient_norm.clamp(min=1e-30)
            gradient = gradient * torch.where(both, ratio, torch.ones_like(ratio))
        state = self.state[parameter]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(parameter)
        state["velocity"].mul_(group["momentum"]).add_(gradient)
        parameter.add_(state["velocity"], alpha=-group["lr"])


_OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]], OptimizerConfig], Optimizer]] = {
    "adamw": lambda groups, config: AdamW(groups, betas=config.betas, fused=True),
    "sgd": lambda groups, config: SGD(groups, momentum=config.momentum),
    "lars": lambda groups, config: Lars(groups, momentum=config.momentum),
}
