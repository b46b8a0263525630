"""Checks that a machine has enough resources for a run. Ray would wait without a message.

In: a recipe, and the connected Ray cluster. Out: an error with the fix, or nothing. Next:
``poise.training.worker``, and ``poise.sweeps``, which computes how many runs fit at once.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
import torch

from poise.cluster.nodes import is_cpu_node, live_nodes
from poise.cluster.resources import most_resources
from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.data.views.color_augmentation import Photometry
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD
from poise.models.activation_checkpointing import transformer_blocks
from poise.models.backbone import build_backbone
from poise.models.timm_options import check_options
from poise.objectives import build_objective
from poise.objectives.base import Objective
from poise.training.accumulation import check_micro_batches
from poise.training.elastic import is_elastic, least_workers
from poise.training.optimizer import build_optimizer


def cpus_needed(recipe: Recipe) -> float:
    """Returns the number of CPUs that a run needs. With fewer CPUs, the run would never start.

    For an elastic run, this is the need of its smallest number of workers.
    """
    return least_workers(recipe) * recipe.training.cpus_per_worker + _cutting_cpus(recipe)


def _cutting_cpus(recipe: Recipe) -> int:
    return 0 if recipe.data.placement == "worker" else 1  # each task that cuts views claims a CPU


def check_fits(recipe: Recipe) -> None:
    """Raises an error for a run that this machine can never start. Ray would wait without an error.

    CPUs are not counted on a cluster (RAY_ADDRESS), because nodes may join it later.

    Raises:
        PoiseError: the machine has too few CPUs, or the recipe cuts views on CPU nodes and there
            are none.
    """
    _check_cutting_nodes(recipe)
    needed, available = cpus_needed(recipe), ray.cluster_resources().get("CPU", 0)
    if not os.environ.get("RAY_ADDRESS") and needed > available:
        training = recipe.training
        placement = recipe.data.placement
        cutting = f" + 1 for data.placement={placement}" if _cutting_cpus(recipe) else ""
        raise PoiseError(
            f"a run needs {_least_in_words(recipe)} × training.cpus_per_worker="
            f"{training.cpus_per_worker:g}{cutting} CPUs and this machine has {available:g}; lower "
            "one of them, or set RAY_ADDRESS to a larger cluster"
        )


def _least_in_words(recipe: Recipe) -> str:
    training, least = recipe.training, least_workers(recipe)
    if not is_elastic(recipe) or least == training.min_workers:
        key = "min_workers" if is_elastic(recipe) else "num_workers"
        return f"training.{key}={least}"
    return (
        f"{least} workers (the smallest number from training.min_workers={training.min_workers} "
        f"on that divides training.batch_size={training.batch_size})"
    )


def _check_cutting_nodes(recipe: Recipe) -> None:
    if recipe.data.placement == "cpu_nodes" and not any(map(is_cpu_node, live_nodes())):
        raise PoiseError(
            "data.placement=cpu_nodes: the cluster has no node that has CPUs and no GPU; set it to "
            "cluster, or start such a node"
        )


def check_builds(recipe: Recipe) -> None:
    """Raises an error if the backbone cannot be built, or does not fit the views or the objective.

    Raises:
        PoiseError: an option does not fit. The message names the option.
    """
    views = recipe.data.views
    check_options(recipe.backbone)
    with torch.device("meta"):  # only shapes; no memory is allocated
        patch_px = build_backbone(recipe.backbone, views.global_px).patch_px
    sizes = {"data.views.global_px": views.global_px, "evaluation.image_px": recipe.evaluation_px}
    if views.local_count:
        sizes["data.views.local_px"] = views.local_px
    for key, px in sizes.items():
        if px % patch_px:
            raise PoiseError(
                f"{key}={px}: is no multiple of the {patch_px}-px patches of "
                f"{recipe.backbone.name}; the nearest below is {px - px % patch_px}"
            )
    objective = _build_without_values(recipe)
    check_micro_batches(recipe, objective)
    _check_blocks(recipe, objective)


def _check_blocks(recipe: Recipe, objective: Objective) -> None:
    """Raises an error for settings that need transformer blocks, if the model has none."""
    training = recipe.training
    fixes = {
        "activation_checkpointing=true": "false" if training.activation_checkpointing else None,
        f"sharding={training.sharding}": "none" if training.sharding != "none" else None,
    }
    for setting, fix in fixes.items():
        if fix is not None and not transformer_blocks(objective.trainable):
            raise PoiseError(
                f"training.{setting}: what this run trains has no transformer blocks "
                f"({recipe.backbone.name}, objective {recipe.objective.name}); set it to {fix}"
            )


def _build_without_values(recipe: Recipe) -> Objective:
    with torch.device("meta"):
        return build_objective(recipe, Photometry(recipe.data.views, IMAGENET_MEAN, IMAGENET_STD))


@dataclass(frozen=True)
class Footprint:
    """Sizes in bytes of a run's files, computed from the tensors in these files."""

    checkpoint_bytes: int
    """Bytes of a checkpoint: student, teacher, centre, optimiser and the backbone's package."""

    package_bytes: int
    """Bytes of the backbone's package in the registry."""


def footprint(recipe: Recipe) -> Footprint:
    """Computes the sizes of the files of a run, without allocating memory."""
    objective = _build_without_values(recipe)
    optimizer = build_optimizer(recipe.optimizer, objective.trainable, objective.parameter_groups())
    for group in optimizer.param_groups:
        group["fused"] = False  # the fused kernel needs real tensors
    for parameter in objective.trainable.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # creates the optimiser's state of each parameter
    package = _num_bytes(objective.backbone.state_dict())
    state = _num_bytes(objective.state_dict()) + _num_bytes(optimizer.state_dict())
    return Footprint(state + package, package)


def _num_bytes(tree: Any) -> int:
    if isinstance(tree, torch.Tensor):
        return tree.numel() * tree.element_size()
    if isinstance(tree, Mapping):
        return sum(_num_bytes(branch) for branch in tree.values())
    return sum(_num_bytes(branch) for branch in tree) if isinstance(tree, list | tuple) else 0


def uses_gpu(recipe: Recipe) -> bool:
    """Returns True if each worker gets a GPU. GPUs that an autoscaler can add are counted.

    Without a connection to Ray, the GPUs of this machine are counted.

    Raises:
        PoiseError: the recipe requires GPUs and there are too few.
    """
    training = recipe.training
    if training.device == "cpu":
        return False
    connected, least = ray.is_initialized(), least_workers(recipe)
    available = most_resources().get("GPU", 0) if connected else torch.cuda.device_count()
    if training.device == "cuda" and available < least:
        raise PoiseError(
            f"training.device=cuda needs {least} GPUs and the "
            f"{'Ray cluster' if connected else 'machine'} has {available:g}; set "
            "training.device=any to use what there is"
        )
    return available >= least
