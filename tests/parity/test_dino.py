"""DINO against recordings of the published implementation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.config import Recipe
from poise.config.objectives import HeadConfig
from poise.config.recipe import BackboneConfig
from poise.data.views.color_augmentation import Photometry
from poise.models.backbone import VitBackbone, build_backbone
from poise.models.block_traces import trace
from poise.models.heads.dino import DinoHead
from poise.objectives.base import RunPosition
from poise.objectives.dino import Dino
from poise.objectives.loss import dino_loss
from poise.objectives.schedules import Warmup, cosine, linear_then_constant
from poise.training.optimizer import build_optimizer, clip_gradients, schedules, set_schedules

Case = Mapping[str, NDArray[Any]]


def load(folder: Path, name: str) -> Case:
    path = folder / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"no recording {path}")
    case: Case = np.load(path, allow_pickle=False)
    return case


def weights(case: Case, prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{prefix}/"): torch.from_numpy(case[key])
        for key in case
        if key.startswith(f"{prefix}/")
    }


def timm_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Published names, with the backbone one level deeper, as a bare timm model is kept."""
    return {key.replace("backbone.", "backbone.timm_model.", 1): v for key, v in state.items()}


def vit_config(case: Case) -> BackboneConfig:
    return BackboneConfig(
        name="vit_tiny_patch16_224",
        drop_path=0,
        options={
            "patch_size": int(case["patch_size"]),
            "embed_dim": int(case["embed_dim"]),
            "depth": int(case["depth"]),
            "num_heads": int(case["num_heads"]),
        },
    )


def test_loss_gradient_and_center_follow_the_published_ones_over_consecutive_steps(
    golden_dir: Path,
) -> None:
    case = load(golden_dir, "dino_loss")
    num_views, batch, k = int(case["ncrops"]), int(case["batch"]), int(case["out_dim"])
    temps = case["teacher_temp_per_epoch"]
    center = torch.from_numpy(case["center"][0])
    for step, epoch in enumerate(case["epoch"]):
        temp = linear_then_constant(
            int(epoch),
            float(case["warmup_teacher_temp"]),
            float(case["teacher_temp"]),
            int(case["warmup_epochs"]),
        )
        assert temp == pytest.approx(temps[epoch], rel=1e-12)
        teacher = torch.from_numpy(case["teacher_logits"][step])
        student = torch.from_numpy(case["student_logits"][step]).requires_grad_()
        targets = ((teacher - center) / temp).softmax(-1).view(2, batch, k)
        loss = dino_loss(student.view(num_views, batch, k), targets, float(case["student_temp"]))
        loss.backward()
        assert loss.item() == pytest.approx(float(case["loss"][step]), rel=1e-5)
        assert student.grad is not None
        expected = torch.from_numpy(case["student_grad"][step])
        torch.testing.assert_close(student.grad, expected, rtol=1e-4, atol=1e-6)
        center = center.lerp(teacher.mean(dim=0), 1 - float(case["center_momentum"]))
        torch.testing.assert_close(
            center, torch.from_numpy(case["center"][step + 1]), rtol=1e-5, atol=1e-6
        )


def test_cosine_schedule_with_linear_warmup_is_the_published_curve(golden_dir: Path) -> None:
    case = load(golden_dir, "dino_schedules")
    count = sum(key.startswith("args_") for key in case)
    assert count > 0
    for i in range(count):
        base, final, epochs, per_epoch, warmup_epochs, start = case[f"args_{i}"].tolist()
        total, warmup = int(epochs * per_epoch), int(warmup_epochs * per_epoch)
        ours = [cosine(step, total, base, final, Warmup(warmup, start)) for step in range(total)]
        np.testing.assert_allclose(ours, case[f"values_{i}"], rtol=1e-12, atol=1e-15)


def test_head_gives_the_published_logits_from_published_weights(golden_dir: Path) -> None:
    case = load(golden_dir, "dino_head")
    state = weights(case, "weights")
    linears = [key for key in state if key.startswith("mlp") and state[key].ndim == 2]
    hidden, in_dim = state[linears[0]].shape
    k, bottleneck = state["last_layer.weight_v"].shape
    config = HeadConfig(
        num_layers=len(linears),
        hidden_dim=hidden,
        bottleneck_dim=bottleneck,
        batch_norm="mlp.1.running_mean" in state,
    )
    head = DinoHead(in_dim, k, config)
    head.load_state_dict(state)
    head.eval()
    with torch.no_grad():
        ours = head(torch.from_numpy(case["x"]))
    torch.testing.assert_close(ours, torch.from_numpy(case["y"]), rtol=1e-5, atol=1e-6)


def test_backbone_gives_the_published_features_and_attention(golden_dir: Path) -> None:
    case = load(golden_dir, "dino_vit")
    backbone = build_backbone(vit_config(case), int(case["img_size"])).eval()
    assert isinstance(backbone, VitBackbone)
    backbone.timm_model.load_state_dict(weights(case, "weights"))
    image = torch.from_numpy(case["image"])
    with torch.no_grad():
        second_last, last = map(backbone.last_norm, backbone.block_outputs(image, 2))
        (block,) = trace(backbone, image, first=-1)
        ours = {
            "cls": backbone(image),
            "last_attention": block.attention,
            "layer_minus_2": second_last,
            "layer_minus_1": last,
        }
    for name, value in ours.items():
        torch.testing.assert_close(value, torch.from_numpy(case[name]), rtol=1e-4, atol=1e-4)


def trajectory_recipe(case: Case) -> Recipe:
    _, num_views, batch, *_ = case["views"].shape
    first_lr = float(case["lr"].max())
    epochs = int(case["epochs"])
    decay = case["weight_decay"]
    return Recipe.model_validate(
        {
            "name": "trajectory",
            "data": {
                "dataset": "recorded",
                "views": {
                    "global_px": int(case["img_size"]),
                    "local_count": num_views - 2,
                    "local_px": int(case["img_size"]),
                },
            },
            "backbone": vit_config(case).model_dump(),
            "objective": {
                "num_prototypes": int(case["head_out_dim"]),
                "student_temp": float(case["student_temp"]),
                "teacher_temp": float(case["teacher_temp"]),
                "warmup_teacher_temp": float(case["warmup_teacher_temp"]),
                "warmup_teacher_temp_epochs": int(case["warmup_teacher_temp_epochs"]),
                "teacher_momentum": float(case["momentum"][0]),
                "center_momentum": float(case["center_momentum"]),
                "freeze_last_layer_epochs": int(case["freeze_last_layer_epochs"]),
                "head": {
                    "hidden_dim": int(case["head_hidden_dim"]),
                    "bottleneck_dim": int(case["head_bottleneck_dim"]),
                },
            },
            "optimizer": {
                "base_lr": first_lr * 256 / batch,
                "warmup_epochs": 0,
                "weight_decay": float(decay[0]),
                "clip_grad": float(case["clip_grad"]),
            },
            "training": {"epochs": epochs, "batch_size": batch, "precision": "fp32"},
        }
    )


def test_a_whole_training_run_follows_the_published_one(golden_dir: Path) -> None:
    """Parameter groups, schedules, clipping, the frozen last layer, centering and the EMA."""
    case = load(golden_dir, "dino_trajectory")
    recipe = trajectory_recipe(case)
    objective = Dino(recipe, Photometry(recipe.data.views, (0, 0, 0), (1, 1, 1)))
    for encoder in (objective.student, objective.teacher):
        encoder.load_state_dict(timm_names(weights(case, "init")))
    optimizer = build_optimizer(recipe.optimizer, objective.trainable)
    trained = [p for p in objective.trainable.parameters() if p.requires_grad]
    per_epoch, total = int(case["iters_per_epoch"]), len(case["loss"])

    for step in range(total):
        position = RunPosition(step, per_epoch, total)
        curves = schedules(recipe, position) | {
            "schedule/lr": float(case["lr"][step]),
            "schedule/weight_decay": float(case["weight_decay"][step]),
        }
        momentum = objective.schedules(position)["schedule/teacher_momentum"]
        assert momentum == pytest.approx(float(case["momentum"][step]), abs=1e-9)
        set_schedules(optimizer, curves)
        views = torch.from_numpy(case["views"][step])  # [V, B, 3, H, W]
        result = objective.compare(views[:2], views[2:], position)
        optimizer.zero_grad()
        result.loss.backward()
        clip_gradients(trained, recipe.optimizer)
        objective.before_optimizer(position)
        optimizer.step()
        objective.after_step(position)
        assert result.loss.item() == pytest.approx(float(case["loss"][step]), rel=1e-4)
        torch.testing.assert_close(
            objective.center, torch.from_numpy(case["center"][step]), rtol=1e-3, atol=1e-5
        )

    for name, encoder in (("student", objective.student), ("teacher", objective.teacher)):
        ours = encoder.state_dict()
        for key, expected in timm_names(weights(case, name)).items():
            torch.testing.assert_close(ours[key], expected, rtol=1e-3, atol=1e-3, msg=key)
