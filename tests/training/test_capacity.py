from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from poise.config import PoiseError
from poise.data.views.color_augmentation import Photometry
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD
from poise.objectives import build_objective
from poise.training.capacity import check_builds, footprint
from poise.training.checkpoint import STATE_FILE, save_checkpoint
from poise.training.loop import TrainingState
from poise.training.optimizer import build_optimizer
from tests.builders import tiny_recipe


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_what_files_will_take_is_known_before_anything_is_allocated(
    optimizer: str, tmp_path: Path
) -> None:
    recipe = tiny_recipe(optimizer__name=optimizer)
    photometry = Photometry(recipe.data.views, IMAGENET_MEAN, IMAGENET_STD)
    objective = build_objective(recipe, photometry)
    made = build_optimizer(recipe.optimizer, objective.trainable, objective.parameter_groups())
    for parameter in objective.trainable.parameters():
        parameter.grad = torch.ones_like(parameter)
    made.step()
    save_checkpoint(tmp_path, TrainingState(objective, made), recipe, [])
    package = {k: v.clone() for k, v in objective.backbone.state_dict().items()}
    save_file(package, tmp_path / "weights")

    expected = footprint(recipe)
    state_bytes = expected.checkpoint_bytes - expected.package_bytes
    tensors = torch.load(tmp_path / STATE_FILE, weights_only=True)
    assert state_bytes == num_bytes(tensors)
    assert expected.package_bytes == pytest.approx((tmp_path / "weights").stat().st_size, rel=0.1)


def num_bytes(tree: object) -> int:
    if isinstance(tree, torch.Tensor):
        return tree.nbytes
    branches = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return sum(num_bytes(branch) for branch in branches)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("qkv_bias", "no", "qkv_bias='no' must be true or false"),
        ("depth", 0, "depth=0 must be a whole number of at least 1"),
        ("depth", None, "depth=null must be a whole number"),
        ("mlp_ratio", "4", "mlp_ratio='4' must be a number"),
        ("norm_eps", "x", "norm_eps='x' must be a number"),
        ("num_heads", 0, "num_heads=0 must be a whole number"),
        ("norm_layer", "foo", "timm's vit_tiny_patch16_224 does not take them: 'foo'"),
        ("drop_path_rate", 0.5, "drop_path_rate: set backbone.drop_path, which only the student"),
        ("reg_tokens", 3, "reg_tokens: set backbone.num_registers; leave the option out"),
        ("img_size", 48, "img_size: data.views.global_px decides"),
        ("pretrained", True, "pretrained: backbone.initial_weights starts a run"),
    ],
)
def test_an_option_that_timm_would_misread_or_that_others_decide_is_refused(
    option: str, value: object, message: str
) -> None:
    options = tiny_recipe().backbone.options
    with pytest.raises(PoiseError, match=message):
        check_builds(tiny_recipe(backbone__options={**options, option: value}))
