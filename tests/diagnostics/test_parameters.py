import math

import pytest
import torch
from torch import nn

from poise.config.recipe import OptimizerConfig
from poise.diagnostics.parameters import gradient_norms, update_size
from poise.training.optimizer import clip_gradients


def learner() -> nn.ModuleDict:
    parts = {
        "backbone": nn.Linear(3, 2),
        "head": nn.Linear(2, 4, bias=False),
        "norm": nn.LayerNorm(4),
    }
    return nn.ModuleDict(parts)


def test_the_norms_of_both_parts_make_up_the_whole() -> None:
    module = learner()
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    found = gradient_norms(module)
    assert found["gradient/norm_backbone"].item() == pytest.approx(2 * math.sqrt(6 + 2))
    assert found["gradient/norm_head"].item() == pytest.approx(2 * math.sqrt(8 + 4 + 4))
    total = clip_gradients(module.parameters(), OptimizerConfig())
    assert math.hypot(*(norm.item() for norm in found.values())) == pytest.approx(total.item())


def test_a_part_that_does_not_learn_has_no_norm() -> None:
    module = learner()
    module["backbone"].weight.grad = torch.tensor([[3.0, 0, 0], [0, 4.0, 0]])
    assert {name: norm.item() for name, norm in gradient_norms(module).items()} == {
        "gradient/norm_backbone": 5
    }


def test_the_size_of_an_update_is_relative_to_the_teacher_and_0_for_none() -> None:
    before, after = [torch.ones(4)], [torch.full((4,), 2.0)]
    assert update_size(before, after).item() == pytest.approx(0.5)
    assert update_size(after, after).item() == 0
