"""Compiling changes speed, not names."""

import pytest
import torch

from poise.data.views.color_augmentation import Photometry
from poise.objectives import build_objective
from poise.objectives.dino import Dino
from tests.builders import tiny_recipe


@pytest.mark.slow
def test_compiling_keeps_the_names_that_checkpoints_use() -> None:
    recipe = tiny_recipe()
    objective = build_objective(recipe, Photometry(recipe.data.views, (0.5,) * 3, (0.25,) * 3))
    assert isinstance(objective, Dino)
    before = list(objective.state_dict())
    compiled = [objective.student.backbone, objective.student.head, objective.backbone]
    assert all(module._compiled_call_impl is None for module in compiled)
    objective.compile_backbones()
    assert list(objective.state_dict()) == before
    assert all(module._compiled_call_impl is not None for module in compiled)
    torch.compiler.reset()
