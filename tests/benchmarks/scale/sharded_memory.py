"""Memory of sharded steps of large backbones, computed with fake tensors: shapes without contents.

Poise's own code runs: it shards the objective (``poise.training.sharding``) and trains a step, with
backward pass, optimiser and teacher. The process group is fake too: it knows one worker of many,
and sends nothing. The bytes of all tensors are followed. All blocks between the first and the last
are equal, so models of three and four blocks give those of 40.

A GPU computes in bf16 by autocast. Fake tensors are on the CPU, whose autocast differs in one thing
that matters: it has no fp32 norms. They are put in place here.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.distributed.device_mesh import DeviceMesh
from torch.testing._internal.distributed.fake_pg import FakeStore

from poise.config import Recipe
from poise.data.batch import PHOTOMETRY_COLUMNS, ViewBatch
from poise.data.views.color_augmentation import Photometry
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD
from poise.models import backbone as backbones
from poise.models.activation_checkpointing import checkpoint_activations
from poise.objectives import build_objective
from poise.objectives.dino import Dino
from poise.training import precision, sharding
from poise.training.loop import TrainingState, train_steps
from poise.training.optimizer import build_optimizer
from poise.training.schedule import Timetable
from tests.benchmarks.allocated_bytes import AllocatedBytes, allocated_bytes

GLOBAL_PX = 224
_NOT_LOGGED = 250  # steps after this one read no metrics, which fake tensors do not have
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Model:
    """Backbone of timm with the views that suit its patches."""

    title: str
    name: str
    depth: int
    local_px: int
    global_px: int = GLOBAL_PX
    precision: str = "bf16"
    num_prototypes: int = 65_536

    def recipe(self, depth: int, batch_size: int) -> Recipe:
        """Makes a DINO recipe with ten views, whose steps are not logged."""
        return Recipe.model_validate(
            {
                "name": "scale",
                "data": {
                    "dataset": "none",
                    "views": {"global_px": self.global_px, "local_px": self.local_px},
                },
                "backbone": {
                    "name": self.name, "drop_path": 0, "options": {"depth": depth},
                },
                "objective": {
                    "num_prototypes": self.num_prototypes, "freeze_last_layer_epochs": 0,
                },
                "training": {
                    "batch_size": batch_size, "precision": self.precision, "log_every_steps": 999,
                },
            }
        )  # fmt: skip


VIT_SMALL = Model("ViT-S/16", "vit_small_patch16_224", depth=12, local_px=96)
VIT_BASE = Model("ViT-B/16", "vit_base_patch16_224", depth=12, local_px=96)
VIT_LARGE = Model("ViT-L/16", "vit_large_patch16_224", depth=24, local_px=96)
VIT_GIANT = Model("ViT-g/14", "vit_giant_patch14_dinov2", depth=40, local_px=98)
VIT_7B = Model("ViT-7B/16", "vit_7b_patch16_dinov3", depth=40, local_px=96)


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters of the student."""

    backbone: int
    head: int

    @property
    def student(self) -> int:
        """Backbone and head."""
        return self.backbone + self.head

    @property
    def checkpoint_bytes(self) -> int:
        """Bytes of a checkpoint: student, teacher and two moments in fp32, and the package."""
        return 4 * (4 * self.student + self.backbone)


@lru_cache
def parameters_of(model: Model) -> Parameters:
    """Counts the parameters of a model."""
    student = _build_without_values(model.recipe(model.depth, 1)).student
    backbone, head = (
        sum(p.numel() for p in part.parameters()) for part in (student.backbone, student.head)
    )
    return Parameters(backbone, head)


@dataclass(frozen=True)
class Memory:
    """Bytes of one of several GPUs that share a model."""

    states: int
    """Weights, gradients, moments and teacher, after a step. The next step needs them all."""

    most: int
    """Largest sum of all tensors during a step."""


@lru_cache
def memory_of(model: Model, num_gpus: int, images: int, recomputes: bool) -> Memory:
    """Computes the memory of one GPU.

    Args:
        model: backbone and views.
        num_gpus: GPUs that share weights, gradients, moments and teacher.
        images: images of a step on each GPU.
        recomputes: whether activations are checkpointed.
    """
    three, four = (step_memory(model, depth, num_gpus, images, recomputes) for depth in (3, 4))
    more = model.depth - 3
    return Memory(
        three.states + more * (four.states - three.states),
        three.most + more * (four.most - three.most),
    )


def step_memory(model: Model, depth: int, num_gpus: int, images: int, recomputes: bool) -> Memory:
    """Trains two steps on fake tensors, and follows their memory.

    Args:
        model: backbone and views.
        depth: blocks of the backbone.
        num_gpus: number of workers, more than 1.
        images: images of a step on each of them.
        recomputes: whether activations are checkpointed.
    """
    recipe = model.recipe(depth, images)
    objective = _build_without_values(recipe)
    with _one_worker_of(num_gpus), as_on_a_gpu(), FakeTensorMode():
        _make_fake(objective)
        if recomputes:
            checkpoint_activations(objective.trainable)
        sharding.shard(objective, recipe.training, CPU)
        with allocated_bytes() as counted:
            return train_two_steps(recipe, objective, counted)


def train_two_steps(recipe: Recipe, objective: Dino, counted: AllocatedBytes) -> Memory:
    """Trains two steps of one worker. The first makes the moments; the second is measured."""
    objective.photometry = _floats  # type: ignore[assignment]  # its own memory is small
    optimizer = build_optimizer(recipe.optimizer, objective.trainable)
    for group in optimizer.param_groups:
        group |= {"fused": False, "foreach": False}  # the fused kernel needs real tensors
    state = TrainingState(objective, optimizer, step=_NOT_LOGGED)
    for tensor in (*objective.parameters(), *objective.buffers()):
        counted.add(tensor)
    batch = _batch(recipe)
    steps = train_steps(Timetable(recipe, 100), state, [batch, batch])
    next(steps)
    counted.most = 0
    next(steps)
    steps.close()
    return Memory(counted.now, counted.most)


def _floats(views: Tensor, _: Tensor) -> Tensor:
    """Stands for the photometry: views as numbers, in fp32."""
    return views.float()


def _batch(recipe: Recipe) -> ViewBatch:
    views, images = recipe.data.views, recipe.training.batch_size
    counts = {views.global_px: views.global_count, views.local_px: views.local_count}
    pixels = [
        torch.zeros(count, images, 3, px, px, dtype=torch.uint8) for px, count in counts.items()
    ]
    photometry = [torch.zeros(len(each), images, len(PHOTOMETRY_COLUMNS)) for each in pixels]
    return ViewBatch(pixels[0], photometry[0], pixels[1], photometry[1], torch.arange(images))


def _build_without_values(recipe: Recipe) -> Dino:
    photometry = Photometry(recipe.data.views, IMAGENET_MEAN, IMAGENET_STD)
    with torch.device("meta"):
        objective = build_objective(recipe, photometry)
    assert isinstance(objective, Dino)
    return objective


def _make_fake(module: nn.Module) -> None:
    """Replaces every parameter and buffer by a fake one."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            fake = torch.empty(parameter.shape)
            setattr(part, name, nn.Parameter(fake, parameter.requires_grad))
        for name, buffer in list(part.named_buffers(recurse=False)):
            setattr(part, name, torch.empty(buffer.shape, dtype=buffer.dtype))


@contextmanager
def _one_worker_of(num_workers: int) -> Iterator[None]:
    """Makes a fake process group, in which this process is worker rank 0."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=num_workers)
    assert dist.group.WORLD is not None
    mesh = DeviceMesh.from_group(dist.group.WORLD, CPU.type)  # its ranks are real numbers
    try:
        with patch.object(DeviceMesh, "from_group", lambda *_: mesh):
            yield
    finally:
        dist.destroy_process_group()


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Computes in bf16, with fused attention and fp32 norms, as on a GPU."""
    norm = F.layer_norm

    def fused(blocks: Any, _: bool) -> None:
        for block in blocks:
            block.attn.fused_attn = True

    def layer_norm(x: Tensor, shape: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Tensor:
        weight, bias = (each if each is None else each.float() for each in (weight, bias))
        return norm(x.float(), shape, weight, bias, eps)

    with ExitStack() as stack:
        for place, name, stand_in in (
            (backbones, "fuse_attention", fused),
            (F, "layer_norm", layer_norm),
            (precision, "computes_bf16", lambda _: True),
            (sharding, "gathered_dtype", precision.autocast_dtype),
        ):
            stack.enter_context(patch.object(place, name, stand_in))
        yield
