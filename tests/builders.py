"""Small stand-ins that tests share."""

from typing import Any

import torch

from poise.config import Recipe
from poise.config.views import ViewsConfig
from poise.data.batch import PHOTOMETRY_COLUMNS, ViewBatch

TINY_VIT = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2}


def tiny_recipe(**changes: Any) -> Recipe:
    """A DINO run that takes milliseconds a step: 16-px views, a 2-block ViT, 32 prototypes."""
    tree: dict[str, Any] = {
        "name": "tiny",
        "data": {
            "dataset": "nowhere",
            "cut_processes": 0,
            "views": {"global_px": 16, "local_px": 8, "local_count": 2},
        },
        "backbone": {"name": "vit_tiny_patch16_224", "drop_path": 0, "options": TINY_VIT},
        "objective": {
            "num_prototypes": 32,
            "freeze_last_layer_epochs": 0,
            "head": {"hidden_dim": 32, "bottleneck_dim": 16},
        },
        "optimizer": {"base_lr": 0.02, "warmup_epochs": 0},
        "training": {
            "epochs": 2,
            "batch_size": 8,
            "device": "cpu",
            "precision": "fp32",
            "log_every_steps": 2,
            "checkpoint_every_steps": 4,
        },
    }
    for dotted, value in changes.items():
        *parents, leaf = dotted.split("__")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return Recipe.model_validate(tree)


def tiny_masked_recipe(**changes: Any) -> Recipe:
    """As ``tiny_recipe``, a masked autoencoder: 16 patches an image, of which 4 are seen."""
    chances = [name for name in ViewsConfig.model_fields if name.endswith("_probability")]
    views = {"global_px": 16, "global_count": 1, "local_count": 0, **dict.fromkeys(chances, 0)}
    objective = {"name": "mae", "decoder_depth": 2, "decoder_dim": 16, "decoder_heads": 2}
    optimizer = {
        "base_lr": 0.02, "warmup_epochs": 0, "warmup_meets_peak": False, "betas": [0.9, 0.95],
        "weight_decay": 0.05, "final_weight_decay": None, "clip_grad": 0,
    }  # fmt: skip
    groups = {"data__views": views, "objective": objective, "optimizer": optimizer}
    return tiny_recipe(**groups | changes)


def random_batch(recipe: Recipe, batch_size: int | None = None, seed: int = 0) -> ViewBatch:
    """Noise views without photometric changes."""
    views, size = recipe.data.views, batch_size or recipe.training.batch_size
    generator = torch.Generator().manual_seed(seed)

    def noise(count: int, px: int) -> torch.Tensor:
        shape = (count, size, 3, px, px)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    return ViewBatch(
        global_views=noise(views.global_count, views.global_px),
        global_photometry=untouched(views.global_count, size),
        local_views=noise(views.local_count, views.local_px),
        local_photometry=untouched(views.local_count, size),
        sample_ids=torch.arange(size),
    )


def untouched(count: int, batch_size: int) -> torch.Tensor:
    """Photometric parameters that leave every view as it is."""
    neutral = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "jitter_order": -1.0}
    row = torch.tensor([neutral.get(column, 0.0) for column in PHOTOMETRY_COLUMNS])
    return row.expand(count, batch_size, -1).clone()
