"""Parameter groups, clipping and the schedules of the optimiser."""

import pytest
import torch
from torch import nn

from poise.config.recipe import OptimizerConfig
from poise.objectives.base import RunPosition
from poise.training.optimizer import (
    build_optimizer,
    clip_gradients,
    parameter_groups,
    schedules,
    set_schedules,
)
from tests.builders import tiny_recipe


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.ones(1, 3, 2))
        self.linear = nn.Linear(2, 2)
        self.norm = nn.LayerNorm(2)
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def test_weight_decay_spares_biases_and_norms_and_nothing_else() -> None:
    toy = Toy()
    decayed, spared = parameter_groups(toy)
    assert {id(p) for p in decayed["params"]} == {id(toy.position), id(toy.linear.weight)}
    assert {id(p) for p in spared["params"]} == {
        id(p) for p in (toy.linear.bias, toy.norm.weight, toy.norm.bias)
    }


@pytest.mark.parametrize("name", ["adamw", "sgd", "lars"])
def test_every_optimiser_gets_the_schedules_of_the_step(name: str) -> None:
    toy = Toy()
    optimizer = build_optimizer(OptimizerConfig.model_validate({"name": name}), toy)
    set_schedules(optimizer, {"schedule/lr": 0.5, "schedule/weight_decay": 0.3})
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0]
    before = toy.linear.weight.detach().clone()
    toy.linear(torch.ones(1, 2)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(before, toy.linear.weight)


def clipped(mode: str, limit: float) -> tuple[list[torch.Tensor], float]:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 4.0]), torch.tensor([0.3, 0.4])
    config = OptimizerConfig.model_validate({"clip_mode": mode, "clip_grad": limit})
    total = clip_gradients(parameters, config)
    return [p.grad for p in parameters if p.grad is not None], float(total)


def test_per_tensor_clipping_shortens_only_long_gradients() -> None:
    gradients, total = clipped("per_tensor", 1.0)
    torch.testing.assert_close(gradients[0], torch.tensor([0.6, 0.8]))
    torch.testing.assert_close(gradients[1], torch.tensor([0.3, 0.4]))
    assert total == pytest.approx((25 + 0.25) ** 0.5)


def test_global_clipping_shortens_all_gradients_alike() -> None:
    gradients, total = clipped("global", 1.0)
    torch.testing.assert_close(gradients[0], torch.tensor([3.0, 4.0]) / total)
    torch.testing.assert_close(gradients[1], torch.tensor([0.3, 0.4]) / total)


def test_a_limit_of_zero_only_measures() -> None:
    gradients, total = clipped("per_tensor", 0.0)
    assert torch.equal(gradients[0], torch.tensor([3.0, 4.0]))
    assert total == pytest.approx(5.025, abs=1e-3)


def test_the_learning_rate_scales_with_the_batch_and_its_end_does_not() -> None:
    recipe = tiny_recipe(
        optimizer={"base_lr": 0.0005, "warmup_epochs": 1, "final_lr": 1e-6},
        training={"epochs": 4, "batch_size": 512},
    )
    peak = schedules(recipe, RunPosition(10, 10, 40))["schedule/lr"]
    last = schedules(recipe, RunPosition(39, 10, 40))["schedule/lr"]
    assert peak == pytest.approx(0.001)
    assert 1e-6 < last < 1e-5
    assert schedules(recipe, RunPosition(0, 10, 40))["schedule/lr"] == 0
