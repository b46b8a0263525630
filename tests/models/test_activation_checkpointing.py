"""Blocks that compute their activations again: the same gradients from less memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from poise.config import PoiseError, Recipe
from poise.data.views.color_augmentation import Photometry
from poise.models.activation_checkpointing import checkpoint_activations, transformer_blocks
from poise.objectives import build_objective
from poise.objectives.base import Objective, RunPosition
from poise.training.capacity import check_builds
from tests.builders import TINY_VIT, random_batch, tiny_masked_recipe, tiny_recipe

Build = Callable[..., Recipe]

START = RunPosition(0, 4, 8)
DEEP = {**TINY_VIT, "depth": 6}


@pytest.fixture(params=[tiny_recipe, tiny_masked_recipe], ids=["dino", "mae"])
def build(request: pytest.FixtureRequest) -> Build:
    """Makes a small recipe of the objective."""
    made: Build = request.param
    return made


def objective_of(recipe: Recipe, checkpointed: bool) -> Objective:
    torch.manual_seed(recipe.seed)
    objective = build_objective(recipe, Photometry(recipe.data.views, (0.5,) * 3, (0.25,) * 3))
    if checkpointed:
        checkpoint_activations(objective.trainable)
    return objective


@contextmanager
def counted() -> Iterator[list[int]]:
    """The bytes of tensors that a forward pass keeps for backward, each storage once."""
    kept: dict[int, int] = {}
    total: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield total
    total.append(sum(kept.values()))


@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_loss_and_gradients_are_the_same(build: Build, drop_path: float) -> None:
    recipe = build(backbone__options=DEEP, backbone__drop_path=drop_path)
    found = []
    for checkpointed in (False, True):
        objective = objective_of(recipe, checkpointed)
        torch.manual_seed(7)
        loss = objective(random_batch(recipe), START).loss
        torch.manual_seed(99)  # what is drawn before backward changes nothing
        loss.backward()
        gradients = [p.grad for p in objective.trainable.parameters() if p.grad is not None]
        found.append([loss.detach(), *gradients])
    assert len(found[0]) == len(found[1])
    for ours, plain in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-6)


def test_a_forward_pass_keeps_less(build: Build) -> None:
    recipe, kept = build(backbone__options=DEEP), []
    for checkpointed in (False, True):
        objective = objective_of(recipe, checkpointed)
        with counted() as total:
            objective(random_batch(recipe), START)
        kept += total
    assert kept[1] < kept[0] / 2


def test_the_teacher_and_names_of_weights_stay_as_they_are() -> None:
    plain, changed = (objective_of(tiny_recipe(), each) for each in (False, True))
    assert list(plain.state_dict()) == list(changed.state_dict())
    assert all("forward" in vars(block) for block in transformer_blocks(changed.trainable))
    assert changed.reference is not None
    assert not any("forward" in vars(block) for block in transformer_blocks(changed.reference))


@pytest.mark.parametrize(
    "backbone",
    [
        {
            "name": "vit_tiny_patch16_224",
            "options": {**DEEP, "global_pool": "avg", "class_token": False},
        },
        {
            "name": "vit_small_patch16_dinov3",
            "options": {"patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 2},
        },
    ],
    ids=["no cls", "rotary"],
)
def test_every_kind_of_transformer_takes_part(backbone: dict[str, Any]) -> None:
    recipe = tiny_recipe(backbone={"drop_path": 0.3, **backbone})
    losses = []
    for checkpointed in (False, True):
        objective = objective_of(recipe, checkpointed)
        loss = objective(random_batch(recipe), START).loss
        loss.backward()
        norms = [p.grad.norm() for p in objective.trainable.parameters() if p.grad is not None]
        losses.append(torch.stack([loss.detach(), *norms]))
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=1e-6)


def test_a_model_without_transformer_blocks_is_refused_before_anything_starts() -> None:
    residual = {"backbone": {"name": "resnet10t", "drop_path": 0}}
    check_builds(tiny_recipe(**residual))
    with pytest.raises(PoiseError, match=r"activation_checkpointing=true: .*resnet10t"):
        check_builds(tiny_recipe(**residual, training__activation_checkpointing=True))
