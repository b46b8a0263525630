"""What is computed with fake tensors is what real workers need."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn
from torch.profiler import ProfilerActivity, profile

from poise.data.views.color_augmentation import Photometry
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD
from poise.models.activation_checkpointing import checkpoint_activations
from poise.objectives import build_objective
from poise.objectives.dino import Dino
from poise.training.sharding import shard
from tests.benchmarks.allocated_bytes import allocated_bytes
from tests.benchmarks.scale.sharded_memory import (
    CPU,
    Model,
    memory_of,
    step_memory,
    train_two_steps,
)

SMALL = Model(
    "", "vit_tiny_patch16_224", 4, local_px=32, global_px=64, precision="fp32", num_prototypes=512
)
IMAGES = 16
DEEP = Model("", "vit_tiny_patch16_224", 8, local_px=96, num_prototypes=512)


def _peak(profiled: Any, before: int) -> int:
    """The largest number of bytes that PyTorch's allocator had given out at once."""
    alive = most = before
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            most = max(most, alive)
    return most


def _work(rank: int, folder: Path, recomputes: bool) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder}/store-{recomputes}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    recipe = SMALL.recipe(SMALL.depth, IMAGES)
    photometry = Photometry(recipe.data.views, IMAGENET_MEAN, IMAGENET_STD)
    objective = build_objective(recipe, photometry)
    assert isinstance(objective, Dino)
    if recomputes:
        checkpoint_activations(objective.trainable)
    shard(objective, recipe.training, CPU)
    states = sum(p.to_local().nbytes for p in objective.parameters())  # type: ignore[attr-defined]
    profiling = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    with profiling as profiled, allocated_bytes() as counted:
        memory = train_two_steps(recipe, objective, counted)
    if rank == 0:
        found = {"memory": (memory.states, memory.most), "peak": _peak(profiled, states)}
        torch.save(found, folder / f"{recomputes}.pt")
    dist.destroy_process_group()


@pytest.mark.heavy
@pytest.mark.parametrize("recomputes", [False, True])
def test_the_computed_memory_is_what_two_real_workers_allocate(
    tmp_path: Path, recomputes: bool
) -> None:
    spawn(_work, args=(tmp_path, recomputes), nprocs=2)
    found = torch.load(tmp_path / f"{recomputes}.pt", weights_only=True)
    computed = step_memory(SMALL, SMALL.depth, 2, IMAGES, recomputes)
    assert (computed.states, computed.most) == pytest.approx(found["memory"], rel=0.01)
    assert computed.most == pytest.approx(found["peak"], rel=0.05)


@pytest.mark.heavy
def test_models_of_three_and_four_blocks_give_those_of_more() -> None:
    for recomputes in (False, True):
        whole = step_memory(DEEP, DEEP.depth, 4, 2, recomputes)
        found = memory_of(DEEP, 4, 2, recomputes)
        assert (found.states, found.most) == pytest.approx((whole.states, whole.most), rel=0.01)


@pytest.mark.heavy
def test_more_workers_share_states_and_nothing_else() -> None:
    few, many = (memory_of(DEEP, count, 2, True) for count in (4, 16))
    assert few.states == pytest.approx(4 * many.states, rel=0.02)
    # When most is alive, the last gradients are gone: a fifth of the states.
    rest = [memory.most - 0.8 * memory.states for memory in (few, many)]
    assert rest[1] == pytest.approx(rest[0], rel=0.1)
