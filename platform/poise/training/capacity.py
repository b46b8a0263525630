"""Checks that a machine has enough resources for a run. Ray itself would wait without a message.

In: a recipe, and the cluster that this process is connected to. Out: an error with the fix, or
nothing. Next: ``poise.training.worker``, and sweeps, which compute how many runs fit at once.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
import torch
from ray._private.state import state as ray_state

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD
from poise.data.views.photometry import Photometry
from poise.models.backbone import build_backbone
from poise.models.timm_options import check_options
from poise.objectives import build_objective
from poise.objectives.base import Objective
from poise.training.optimizer import build_optimizer


def cpus_needed(recipe: Recipe) -> float:
    """Returns the number of CPUs that a run needs at once. With fewer it would wait forever."""
    training = recipe.training
    cutting = 1 if recipe.data.placement == "cluster" else 0  # each task claims a CPU
    return training.num_workers * training.cpus_per_worker + cutting


def check_fits(recipe: Recipe) -> None:
    """Refuses a run that this machine can never start. Ray would wait without an error.

    A cluster that others started (RAY_ADDRESS) is not checked, because nodes may join or leave it.

    Raises:
        PoiseError: the machine has too few CPUs.
    """
    needed, available = cpus_needed(recipe), ray.cluster_resources().get("CPU", 0)
    if not os.environ.get("RAY_ADDRESS") and needed > available:
        training = recipe.training
        cutting = " + 1 for data.placement=cluster" if recipe.data.placement == "cluster" else ""
        raise PoiseError(
            f"a run needs training.num_workers={training.num_workers} × training.cpus_per_worker="
            f"{training.cpus_per_worker:g}{cutting} CPUs and this machine has {available:g}; lower "
            "one of them, or set RAY_ADDRESS to a larger cluster"
        )


def check_builds(recipe: Recipe) -> None:
    """Refuses a backbone that cannot be built, or does not suit the views or the objective.

    Raises:
        PoiseError: the message names the setting and its fix.
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
    _on_paper(recipe)


def _on_paper(recipe: Recipe) -> Objective:
    with torch.device("meta"):
        return build_objective(recipe, Photometry(recipe.data.views, IMAGENET_MEAN, IMAGENET_STD))


@dataclass(frozen=True)
class Footprint:
    """Size of a run's files, computed from the tensors in them."""

    checkpoint_bytes: int
    """Size of a checkpoint: student, teacher, centre, optimiser and the backbone's package."""

    package_bytes: int
    """Size of the backbone's package alone, as in the registry."""


def footprint(recipe: Recipe) -> Footprint:
    """Computes the footprint of a run of this recipe, without allocating memory."""
    objective = _on_paper(recipe)
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
    """Returns True if each worker gets a GPU. GPUs that an autoscaler may start also count.

    Raises:
        PoiseError: the recipe requires GPUs and there are too few.
    """
    training = recipe.training
    live = ray.cluster_resources().get("GPU", 0)
    later = (ray_state.get_max_resources_from_cluster_config() or {}).get("GPU", 0)
    available = max(live, later)
    if training.device == "cuda" and available < training.num_workers:
        raise PoiseError(
            f"training.device=cuda needs {training.num_workers} GPUs and the Ray cluster has "
            f"{available:g}; set training.device=any to use what there is"
        )
    return training.device != "cpu" and available >= training.num_workers
