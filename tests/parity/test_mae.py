"""The masked autoencoder against recordings of the published implementation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.config import Recipe
from poise.data.views.color_augmentation import Photometry
from poise.models.mae import MaskedAutoencoder, patchify, sincos_positions, take, unpatchify
from poise.objectives.base import RunPosition
from poise.objectives.mae import Mae
from poise.objectives.schedules import Warmup, cosine
from poise.training.optimizer import build_optimizer, clip_gradients, schedules, set_schedules

Case = Mapping[str, NDArray[Any]]

NO_COLORS = {
    "jitter_probability": 0, "grayscale_probability": 0, "first_global_blur_probability": 0,
    "other_global_blur_probability": 0, "local_blur_probability": 0,
    "first_global_solarize_probability": 0, "other_global_solarize_probability": 0,
    "local_solarize_probability": 0,
}  # fmt: skip


def load(folder: Path, name: str) -> Case:
    path = folder / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"no recording {path}")
    case: Case = np.load(path, allow_pickle=False)
    return case


def recipe_of(case: Case, batch: int, norm_pix_loss: bool, optimizer: dict[str, Any]) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "recorded",
            "data": {
                "dataset": "recorded",
                "views": {
                    "global_count": 1,
                    "local_count": 0,
                    "global_px": int(case["img_size"]),
                    **NO_COLORS,
                },
            },
            "backbone": {
                "name": "vit_tiny_patch16_224",
                "drop_path": 0,
                "options": {
                    "patch_size": int(case["patch_size"]),
                    "embed_dim": int(case["embed_dim"]),
                    "depth": int(case["depth"]),
                    "num_heads": int(case["num_heads"]),
                },
            },
            "objective": {
                "name": "mae",
                "mask_ratio": float(case["mask_ratio"]),
                "norm_pix_loss": norm_pix_loss,
                "decoder_depth": int(case["decoder_depth"]),
                "decoder_dim": int(case["decoder_embed_dim"]),
                "decoder_heads": int(case["decoder_num_heads"]),
            },
            "optimizer": optimizer,
            "training": {
                "epochs": int(case["epochs"]) if "epochs" in case else 100,
                "batch_size": batch,
                "precision": "fp32",
            },
        }
    )


def build(recipe: Recipe) -> Mae:
    torch.manual_seed(0)
    return Mae(recipe, Photometry(recipe.data.views, (0, 0, 0), (1, 1, 1)))


def published(case: Case, prefix: str) -> dict[str, Tensor]:
    """Recorded weights under our names; the decoder's fixed positions are compared elsewhere."""
    state = {}
    for key in case:
        if key.startswith(f"{prefix}/") and not key.endswith("decoder_pos_embed"):
            name = key.removeprefix(f"{prefix}/")
            inner = name.removeprefix("decoder_")
            in_decoder = name == "mask_token" or inner != name
            owner = "decoder" if in_decoder else "backbone.timm_model"
            state[f"{owner}.{inner}"] = torch.from_numpy(case[key])
    return state


def back_in_place(values: Tensor, order: Tensor) -> Tensor:
    """[B, N, C] in ``order`` as [B, N, C] row-major."""
    return take(values, order.argsort(dim=1))


@pytest.mark.parametrize("norm_pix_loss", [False, True])
def test_forward_gives_the_published_mask_latent_prediction_and_loss(
    norm_pix_loss: bool, golden_dir: Path
) -> None:
    case = load(golden_dir, f"mae_forward_normpix{int(norm_pix_loss)}")
    images, noise = torch.from_numpy(case["image"]), torch.from_numpy(case["noise"])
    mae = build(recipe_of(case, len(images), norm_pix_loss, {}))
    mae.autoencoder.load_state_dict(published(case, "weights"))
    decoder_positions = case["weights/decoder_pos_embed"][0, 1:]
    np.testing.assert_allclose(mae.autoencoder.decoder.positions, decoder_positions, atol=1e-6)

    patch_px, seen = int(case["patch_size"]), mae.num_visible
    patches, order = patchify(images, patch_px), noise.argsort(dim=1)
    mask = back_in_place((torch.arange(noise.shape[1]) >= seen).float().expand_as(noise)[..., None],
                         order)[..., 0]  # fmt: skip
    with torch.no_grad():
        result = mae.reconstruct(images, noise)
        latent = mae.autoencoder.encode(take(patches, order[:, :seen]), order[:, :seen])
        everywhere = mae.autoencoder.decoder(latent, order, everywhere=True)
    ours = {
        "patches": patches,
        "mask": mask,
        "latent": latent,
        "pred": back_in_place(everywhere, order),
        "loss": result.loss,
    }
    np.testing.assert_array_equal(order.argsort(dim=1), case["ids_restore"])
    for name, value in ours.items():
        expected = torch.from_numpy(case[name])
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4, msg=name)
    observed = mae.observe()
    assert observed.predictions is not None
    hidden = everywhere[:, seen:].flatten(0, 1)
    torch.testing.assert_close(observed.predictions, hidden, rtol=1e-4, atol=1e-5)
    assert torch.equal(unpatchify(patches, patch_px, mae.autoencoder.grid), images)


def test_a_whole_training_run_follows_the_published_one(golden_dir: Path) -> None:
    """Masking, parameter groups, betas, constant weight decay and the half-cosine schedule."""
    case = load(golden_dir, "mae_trajectory")
    total, batch = case["images"].shape[:2]
    epochs, warmup = int(case["epochs"]), float(case["warmup_epochs"])
    base_lr = float(case["base_lr"])
    recipe = recipe_of(
        case, batch, recorded_norm_pix(case),
        {
            "base_lr": base_lr * 256 / batch,
            "final_lr": 0,
            "warmup_epochs": warmup,
            "warmup_meets_peak": False,
            "weight_decay": float(case["weight_decay"]),
            "final_weight_decay": None,
            "betas": case["betas"].tolist(),
            "clip_grad": 0,
        },
    )  # fmt: skip
    mae = build(recipe)
    mae.autoencoder.load_state_dict(published(case, "init"))
    optimizer = build_optimizer(recipe.optimizer, mae.trainable)

    for step, epoch in enumerate(case["fractional_epoch"]):
        lr = cosine(float(epoch), epochs, base_lr, 0, Warmup(warmup, meets_peak=False))
        assert lr == pytest.approx(float(case["lr"][step]), rel=1e-6)
        position = RunPosition(step, 1, int(total))
        curves = schedules(recipe, position)
        assert curves["schedule/weight_decay"] == float(case["weight_decay"])
        set_schedules(optimizer, curves | {"schedule/lr": lr})
        result = mae.reconstruct(
            torch.from_numpy(case["images"][step]), torch.from_numpy(case["noise"][step])
        )
        optimizer.zero_grad()
        result.loss.backward()
        clip_gradients(mae.trainable.parameters(), recipe.optimizer)
        optimizer.step()
        assert result.loss.item() == pytest.approx(float(case["loss"][step]), rel=1e-4)

    ours = mae.autoencoder.state_dict()
    for key, expected in published(case, "final").items():
        torch.testing.assert_close(ours[key], expected, rtol=1e-3, atol=1e-3, msg=key)


def recorded_norm_pix(case: Case) -> bool:
    """Which of the two targets a recorded run predicted: the one that its first loss is of."""
    losses = []
    for norm_pix_loss in (False, True):
        mae = build(recipe_of(case, 1, norm_pix_loss, {"warmup_epochs": 0}))
        mae.autoencoder.load_state_dict(published(case, "init"))
        with torch.no_grad():
            first = (torch.from_numpy(case[name][0]) for name in ("images", "noise"))
            losses.append(mae.reconstruct(*first).loss.item())
    gaps = [abs(loss - float(case["loss"][0])) for loss in losses]
    return gaps[1] < gaps[0]


def test_fixed_positions_are_the_published_ones(golden_dir: Path) -> None:
    case = load(golden_dir, "sincos_pos_embed")
    grid = int(case["grid"])
    ours = sincos_positions(int(case["dim"]), (grid, grid))
    np.testing.assert_allclose(ours, case["without_cls"], atol=1e-6)
    np.testing.assert_allclose(ours, case["with_cls"][1:], atol=1e-6)
    assert not case["with_cls"][0].any()


def test_the_published_schedule_starts_at_zero_and_peaks_once() -> None:
    """Figures of the published pretraining: peak 2.4e-3, 800 epochs of 312 steps."""
    peak, per_epoch, epochs = 2.4e-3, 312, 800
    total, warmup = per_epoch * epochs, 40 * per_epoch
    curve = [
        cosine(step, total, peak, 0, Warmup(warmup, meets_peak=False))
        for step in (0, 1, 20 * per_epoch, 40 * per_epoch, 420 * per_epoch)
    ]
    assert curve == pytest.approx([0, 1.923e-7, 1.2e-3, 2.4e-3, 1.2e-3], rel=1e-3)


def test_a_large_grid_of_positions_has_the_recorded_sums() -> None:
    positions = sincos_positions(768, (14, 14)).double()
    assert positions.sum().item() == pytest.approx(69594.4939, abs=1e-2)
    assert positions.square().sum().item() == pytest.approx(75264, abs=1e-2)
    assert positions[1, :3].tolist() == pytest.approx([0.84147098, 0.81525065, 0.78859304])
    assert positions[14, 384].item() == pytest.approx(0.84147098)


def test_the_initialisation_is_the_published_one() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "init",
            "data": {"dataset": "d", "views": {"global_count": 1, "local_count": 0}},
            "backbone": {"drop_path": 0, "num_registers": 2, "options": {"depth": 1}},
            "objective": {"name": "mae", "decoder_depth": 1},
        }
    )
    autoencoder: MaskedAutoencoder = build(recipe).autoencoder
    vit = autoencoder.backbone.timm_model
    qkv = vit.blocks[0].attn.qkv
    bound = (6 / sum(qkv.weight.shape)) ** 0.5  # the fused matrix as one
    assert qkv.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert not qkv.bias.any()
    patch = vit.patch_embed.proj
    fans = patch.weight.shape[0] + patch.weight[0].numel()
    assert patch.weight.abs().max().item() == pytest.approx((6 / fans) ** 0.5, rel=1e-3)
    assert patch.bias.any(), "the published code leaves this bias at PyTorch's own"
    for token in (vit.cls_token, vit.reg_token, autoencoder.decoder.mask_token):
        assert token.std().item() == pytest.approx(0.02, rel=0.15)
    assert not vit.pos_embed.requires_grad
