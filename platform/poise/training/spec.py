"""Task of one run, and its outcome.

In: a recipe, and the observers of the run. Out: a ``RunSpec``, plain data that is sent to the
workers, and its ``Outcome``. Next: ``poise.training.worker``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from poise.config.recipe import Recipe
from poise.diagnostics.history import History
from poise.training.datasets import Fingerprints
from poise.training.observer import RunObserver

Probe = Callable[[nn.Module, torch.device], Iterable[tuple[str, float]]]
"""Function that yields (name, value) for a backbone. The caller adds the prefix ``eval/``."""

BACKBONE_FOLDER = "backbone"
"""Folder of the backbone's package inside a checkpoint."""


@dataclass(frozen=True)
class StartingPoint:
    """Checkpoint of another run, from which a run starts."""

    checkpoint: Path
    changed: tuple[str, ...]
    """Dotted keys of the settings that may differ from the checkpoint's recipe. All others must be
    equal.
    """


@dataclass(frozen=True)
class RunSpec:
    """One run, ready to be carried out. Everything in it can be sent to another machine."""

    recipe: Recipe
    name: str
    """Name of the run. If a run of this name exists in the storage, it is resumed."""

    storage: Path
    """Folder of runs, which all machines share."""

    observers: Sequence[Callable[[], RunObserver]] = ()
    """Functions that each make an observer of the run, on worker rank 0."""

    probe: Probe | None = None
    untrained_probe: Probe | None = None
    """Probe for the network before the first step. It replaces ``probe`` and yields the same
    metrics.
    """

    export: Callable[[Path, nn.Module], None] | None = None
    """Function that writes the backbone into a folder of each checkpoint."""

    callbacks: Sequence[Any] = field(default=())
    """Callbacks of Ray Train. The process that controls the run calls them."""

    start_from: StartingPoint | None = None
    """Weights, step and history to start with; None starts with new weights."""

    datasets: Fingerprints = field(default_factory=dict)
    """Fingerprints of the datasets. Each checkpoint contains them."""


@dataclass(frozen=True)
class Outcome:
    """Last checkpoint of a finished run, and its history."""

    checkpoint: Path
    history: History
