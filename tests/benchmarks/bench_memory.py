"""The memory that activation checkpointing saves, and the time that it costs.

Run as ``OMP_NUM_THREADS=1 python tests/benchmarks/bench_memory.py``. DINO's step with a ViT-S/16:
2 × 224 and 8 × 96 px, fp32, on the CPU, with the fused attention that a GPU uses. Counted are the
bytes of tensors that the forward pass keeps for the backward pass, each storage once, parameters
left out. They are a fixed part (the normalised prototypes) and a part per image, so passes of one
and of two images give those of any batch. With checkpointing, the backward pass has the activations
of one block beside them: those of the largest pass are added.

The floor is what this method cannot go below: the input of every block of the student.
"""

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module

from poise.data.views.color_augmentation import Photometry
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD
from poise.models import backbone as backbones
from poise.models.activation_checkpointing import checkpoint_activations, transformer_blocks
from poise.objectives import build_objective
from poise.objectives.base import Objective
from tests.benchmarks.bench_dino_step import ON_GPU, Size, position_at
from tests.benchmarks.kept_bytes import kept_bytes
from tests.builders import random_batch

IMAGES = 64
AIM = 5.0
"""Times less memory with it than without."""

TIMED_STEPS = 2


def objective_of(size: Size, checkpointed: bool) -> Objective:
    """The same weights at every call."""
    torch.manual_seed(0)
    recipe = size.recipe("fp32")
    objective = build_objective(recipe, Photometry(recipe.data.views, IMAGENET_MEAN, IMAGENET_STD))
    if checkpointed:
        checkpoint_activations(objective.trainable)
    return objective


def with_images(count: int) -> Size:
    """ViT-S/16 with this number of images in a batch."""
    return replace(ON_GPU, batch_size=count)


def bytes_of_step(checkpointed: bool, images: int) -> int:
    """Bytes that a forward pass of a batch keeps."""
    objective, totals = objective_of(with_images(1), checkpointed), []
    for count in (1, 2):
        with kept_bytes(objective) as kept:
            objective(random_batch(with_images(count).recipe("fp32")), position_at(0))
        totals.append(sum(kept.values()))
    return totals[0] + (images - 1) * (totals[1] - totals[0])


def bytes_of_block(size: Size) -> int:
    """Bytes that one block keeps in the pass of the global views, the largest."""
    block = transformer_blocks(objective_of(size, False).trainable)[0]
    tokens = 1 + (size.global_px // size.patch_px) ** 2
    x = torch.randn(2, tokens, size.dim, requires_grad=True)  # of one image
    with kept_bytes(block) as kept:
        block(x)
    return size.batch_size * sum(kept.values())


def floor_bytes(size: Size) -> int:
    """Bytes of the inputs of all blocks of the student."""
    tokens = [1 + (px // size.patch_px) ** 2 for px in (size.global_px, size.local_px)]
    rows = size.batch_size * (2 * tokens[0] + size.local_count * tokens[1])
    return size.depth * rows * size.dim * 4


def seconds_of_steps(size: Size) -> dict[bool, float]:
    """Median CPU seconds of forward and backward, in turns."""
    objectives = {each: objective_of(size, each) for each in (False, True)}
    batch = random_batch(size.recipe("fp32"))
    taken: dict[bool, list[float]] = {False: [], True: []}
    for number in range(TIMED_STEPS + 1):
        for checkpointed, objective in objectives.items():
            start_s = time.process_time()
            objective(batch, position_at(0)).loss.backward()
            if number:
                taken[checkpointed].append(time.process_time() - start_s)
    return {each: statistics.median(values) for each, values in taken.items()}


def main() -> None:
    """Measures and prints."""
    torch.set_num_threads(1)
    size = with_images(IMAGES)

    def fused(blocks: Any, _: bool) -> None:
        for block in blocks:
            block.attn.fused_attn = True

    with patch.object(backbones, "fuse_attention", fused):
        plain = bytes_of_step(False, IMAGES)
        checkpointed = bytes_of_step(True, IMAGES) + bytes_of_block(size)
        floor, seconds = floor_bytes(size), seconds_of_steps(with_images(2))
    print(f"DINO, ViT-S/16, {size}")
    for name, count in {
        "all activations kept": plain,
        "activation checkpointing, with one block": checkpointed,
        "the floor: the inputs of all blocks": floor,
    }.items():
        print(f"  {name:42s} {count / 2**30:7.2f} GiB")
    print(
        f"  memory without over with: {plain / checkpointed:.2f}x, the aim is {AIM:.1f}x, "
        f"the floor allows {plain / floor:.1f}x"
    )
    print(f"  time of forward and backward, 2 images: {seconds[True] / seconds[False]:.2f}x")


if __name__ == "__main__":
    main()
