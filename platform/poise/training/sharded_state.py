"""Splits the state of a run among workers, and joins the parts again.

In: the whole state on worker rank 0. Out: a sharded state, with one part on each worker; and the
reverse. Next: ``poise.training.on_worker`` splits the state at the start.
``poise.training.logging_and_checkpoints`` joins it for checkpoints and evaluations.

So a checkpoint of a sharded run has the usual format. A run with any number of workers can load it,
with or without sharding. Tensors are sent one at a time. So a device needs memory for its part of
the state and for one whole tensor. Worker rank 0 needs CPU memory for the whole state.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from poise.cluster.collectives import object_of_first
from poise.cluster.sharded_tensors import whole
from poise.config.recipe import Recipe
from poise.diagnostics.history import Entry
from poise.objectives.base import Objective
from poise.training.loop import TrainingState, new_objective, optimizer_of
from poise.training.parallel import with_shared_statistics
from poise.training.sharding import shard

Start = tuple[TrainingState, list[Entry]]
"""State and history at the start of a new or resumed run."""


def scattered(start: Start | None, recipe: Recipe, device: torch.device) -> Start:
    """Splits a state among all workers. All workers must call this function.

    Args:
        start: on worker rank 0, the whole state on the CPU, and the history; None on other workers.
        recipe: recipe of the run.
        device: device of this worker.
    """
    first = None if start is None else start[0]
    objective = _empty(recipe, device)
    given = {} if first is None else dict(_tensors(first.objective))
    for name, tensor in _tensors(objective):
        _fill(tensor, given.get(name))
    optimizer = optimizer_of(recipe, objective)
    saved = None if first is None else first.optimizer.state_dict()
    outline, rest, history = object_of_first(
        None if start is None else (_outline(saved), _other_fields(start[0]), start[1]), device
    )
    moments = {
        index: _scattered_moments(described, parameter, saved and saved["state"][index])
        for (index, described), parameter in _with_parameters(outline["state"], optimizer)
    }
    optimizer.load_state_dict(outline | {"state": moments})
    return TrainingState(objective, optimizer, **rest), history


def gathered(state: TrainingState, recipe: Recipe, is_first: bool) -> TrainingState | None:
    """Returns the whole state, on the CPU of worker rank 0; None on the other workers.

    All workers must call this function. A state that is not sharded is returned as it is.

    Args:
        state: state of the run.
        recipe: recipe of the run.
        is_first: whether this is worker rank 0.
    """
    objective = gathered_objective(state.objective, recipe, is_first)
    if objective is state.objective:
        return state
    saved = state.optimizer.state_dict()
    moments = {
        index: {name: _on_first(value, is_first) for name, value in values.items()}
        for index, values in saved["state"].items()
    }
    if objective is None:
        return None
    optimizer = optimizer_of(recipe, objective)
    optimizer.load_state_dict(saved | {"state": moments})
    return replace(state, objective=objective, optimizer=optimizer)


def gathered_objective(objective: Objective, recipe: Recipe, is_first: bool) -> Objective | None:
    """Returns an unsharded copy of an objective on the CPU of worker rank 0; None on other workers.

    All workers must call this function. An objective that is not sharded is returned as it is.
    """
    if not isinstance(next(objective.parameters()), DTensor):
        return objective
    tensors = {name: _on_first(tensor, is_first) for name, tensor in _tensors(objective)}
    if not is_first:
        return None
    copy = new_objective(recipe, torch.device("meta"))
    for name, tensor in tensors.items():
        _put(copy, name, tensor)
    return copy


def _empty(recipe: Recipe, device: torch.device) -> Objective:
    """Makes a sharded objective with uninitialised weights."""
    objective = new_objective(recipe, torch.device("meta"))
    if device.type == "cuda":  # shared statistics need a GPU
        objective = with_shared_statistics(objective)
    shard(objective, recipe.training, device)
    return objective.to_empty(device=device)


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields name and tensor of all weights and buffers, even of buffers not in checkpoints."""
    yield from module.named_parameters()
    yield from module.named_buffers()


@torch.no_grad()
def _fill(target: Tensor, source: Tensor | None) -> None:
    """Copies a tensor of worker rank 0 to all workers.

    If ``target`` is sharded, each gets its part.
    """
    device = target.device
    sent = torch.empty(target.shape, dtype=target.dtype, device=device)
    if source is not None:
        sent.copy_(source)
    if isinstance(target, DTensor):
        parts = distribute_tensor(sent, target.device_mesh, target.placements)
        target.to_local().copy_(parts.to_local())
    else:
        dist.broadcast(sent, src=0)
        target.copy_(sent)


def _on_first(value: Any, is_first: bool) -> Any:
    """Returns an unsharded copy of a tensor on the CPU of worker rank 0; None on other workers."""
    if not isinstance(value, Tensor):
        return value
    joined = whole(value)
    return joined.to("cpu", copy=True) if is_first else None


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Replaces a weight or buffer without values (on the device ``meta``) by ``tensor``."""
    parent, _, leaf = name.rpartition(".")
    owner = module.get_submodule(parent)
    before = getattr(owner, leaf)
    if isinstance(before, nn.Parameter):
        tensor = nn.Parameter(tensor, before.requires_grad)
    setattr(owner, leaf, tensor)


def _other_fields(state: TrainingState) -> dict[str, Any]:
    names = {field.name for field in fields(state)} - {"objective", "optimizer"}
    return {name: getattr(state, name) for name in names}


def _outline(saved: Any) -> dict[str, Any]:
    """Copies an optimiser's state without the values of tensors (on the device ``meta``)."""
    state = {
        index: {
            name: value.to("meta") if isinstance(value, Tensor) else value
            for name, value in values.items()
        }
        for index, values in saved["state"].items()
    }
    return {**saved, "state": state}


def _with_parameters(
    state: Mapping[int, Any], optimizer: Optimizer
) -> Iterator[tuple[tuple[int, Any], Tensor]]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, values in state.items():
        yield (index, values), parameters[index]


def _scattered_moments(
    described: Mapping[str, Any], parameter: Tensor, given: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Splits the optimiser's state of one weight among all workers."""
    found: dict[str, Any] = {}
    for name, value in described.items():
        if not isinstance(value, Tensor):
            found[name] = value
            continue
        of_weight = value.shape == parameter.shape
        target = (
            torch.empty_like(parameter, dtype=value.dtype)
            if of_weight
            else torch.empty_like(value, device=parameter.device)
        )
        _fill(target, None if given is None else given[name])
        found[name] = target
    return found
