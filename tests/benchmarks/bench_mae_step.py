"""A masked autoencoder's training step against a plain transcription of the published one.

Run as ``python tests/benchmarks/bench_mae_step.py``. Ours is ``train_steps``, as a run uses it;
both see the same images and masks from the same weights, and must report the same losses before
they are timed. One thread, a ViT-S/16 with half the published decoder, and the small ViT of
``mae_vit_cifar10.yaml``; both sides in fp32, and ours in bf16 where it is computed in hardware.
``gpu/bench_gpu.py`` measures the published sizes on a GPU.

The published step's images are normalised by its data loader; it is given them done.
"""

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module

from poise.config import Recipe
from poise.config.views import ViewsConfig
from poise.objectives.mae import Mae
from poise.training.optimizer import schedules
from tests.benchmarks.bench_dino_step import (
    compare_on_cpu,
    our_state,
    position_at,
)
from tests.benchmarks.published_mae_step import PublishedMae, PublishedStep
from tests.builders import random_batch


@dataclass(frozen=True)
class Size:
    """What is trained. Encoder and decoder: width, blocks, heads."""

    image_px: int
    patch_px: int
    encoder: tuple[int, int, int]
    decoder: tuple[int, int, int]
    batch_size: int
    mask_ratio: float = 0.75

    def recipe(self, precision: str) -> Recipe:
        """MAE's published settings at this size."""
        chances = [name for name in ViewsConfig.model_fields if name.endswith("_probability")]
        views = {"global_count": 1, "local_count": 0, "global_px": self.image_px}
        dim, depth, heads = self.encoder
        options = {
            "patch_size": self.patch_px, "embed_dim": dim, "depth": depth, "num_heads": heads,
        }  # fmt: skip
        return Recipe.model_validate(
            {
                "name": "bench-mae-step",
                "data": {"dataset": "none", "views": views | dict.fromkeys(chances, 0)},
                "backbone": {"name": "vit_base_patch16_224", "drop_path": 0, "options": options},
                "objective": {
                    "name": "mae",
                    "mask_ratio": self.mask_ratio,
                    "norm_pix_loss": True,
                    "decoder_dim": self.decoder[0],
                    "decoder_depth": self.decoder[1],
                    "decoder_heads": self.decoder[2],
                },
                "optimizer": {
                    "base_lr": 1.5e-4, "final_lr": 0, "warmup_meets_peak": False,
                    "weight_decay": 0.05, "final_weight_decay": None, "betas": [0.9, 0.95],
                    "clip_grad": 0,
                },
                "training": {"batch_size": self.batch_size, "precision": precision},
            }
        )  # fmt: skip

    def matmul_flops(self) -> float:
        """Of one step's matrix products, at 2 a multiply-add, with nothing left out.

        A block does 24·D² + 4·T·D a token; a backward pass costs twice its forward pass.
        """
        patches = (self.image_px // self.patch_px) ** 2
        visible = int(patches * (1 - self.mask_ratio))

        def blocks(tokens: int, size: tuple[int, int, int]) -> float:
            return size[1] * tokens * (24 * size[0] ** 2 + 4 * tokens * size[0])

        pixels, hidden = 3 * self.patch_px**2, patches - visible
        ends = 2 * (visible * pixels * self.encoder[0] + hidden * pixels * self.decoder[0])
        between = 2 * (1 + visible) * self.encoder[0] * self.decoder[0]
        body = blocks(1 + visible, self.encoder) + blocks(1 + patches, self.decoder)
        return 3 * self.batch_size * (body + ends + between)


ON_CPU = (
    Size(224, 16, (384, 12, 6), (256, 8, 8), batch_size=8),
    Size(32, 4, (192, 9, 3), (128, 4, 4), batch_size=64),
)
ON_GPU = Size(224, 16, (768, 12, 12), (512, 8, 16), batch_size=64)


def published_steps(size: Size, precision: str, device: torch.device) -> Iterator[Tensor]:
    """The losses of the published step, from our weights, on our images and masks."""
    recipe = size.recipe(precision)
    objective = our_state(recipe, device).objective
    assert isinstance(objective, Mae)
    batch = random_batch(recipe).to(device)
    images = objective.photometry(batch.global_views, batch.global_photometry)[0]
    model = PublishedMae(
        size.image_px, size.patch_px, size.encoder, size.decoder, size.mask_ratio
    ).to(device)
    model.load_state_dict(_published(objective))
    step = PublishedStep(model, recipe.optimizer.weight_decay)
    autocast_to = torch.bfloat16 if precision == "bf16" else None
    for number in itertools.count():
        position = position_at(number)
        noise = objective.draw_noise(batch, position.epoch)
        yield step(images, noise, schedules(recipe, position)["schedule/lr"], autocast_to)


def _published(objective: Mae) -> dict[str, Tensor]:
    """Our weights under the published names."""
    state = {}
    for name, value in objective.autoencoder.state_dict().items():
        inner = name.removeprefix("backbone.timm_model.").removeprefix("decoder.")
        of_decoder = name.startswith("decoder.") and inner != "mask_token"
        state[f"decoder_{inner}" if of_decoder else inner] = value
    positions = objective.autoencoder.decoder.positions
    state["decoder_pos_embed"] = torch.cat([torch.zeros_like(positions[:1]), positions])[None]
    return state


def main() -> None:
    """Measures and prints."""
    for size in ON_CPU:
        compare_on_cpu("MAE", size, partial(published_steps, size), floor_side=512)


if __name__ == "__main__":
    main()
