"""The task of one run, and its outcome.

In: a recipe, and the observers that follow the run. Out: a ``RunSpec``, plain data that travels to
the workers, and its ``Outcome``. Next: ``poise.training.worker``.
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
"""Yields (name, value) of a backbone; the caller adds the prefix ``eval/``."""

BACKBONE_FOLDER = "backbone"
"""Folder of the backbone's package inside a checkpoint."""


@dataclass(frozen=True)
class StartingPoint:
    """Another run's checkpoint, from which a run starts."""

    checkpoint: Path
    changed: tuple[str, ...]
    """Dotted keys of the settings that may differ from the checkpoint's recipe; no other may."""


@dataclass(frozen=True)
class RunSpec:
    """One run, ready to be carried out. Everything in it can be sent to another machine."""

    recipe: Recipe
    name: str
    """The run's name. A run of the same name and storage is resumed."""

    storage: Path
    """Folder of runs; every machine reaches it."""

    observers: Sequence[Callable[[], RunObserver]] = ()
    """Each makes an observer of the run, on the first worker."""

    probe: Probe | None = None
    untrained_probe: Probe | None = None
    """Measures the network before the first step, in place of ``probe``, with the same figures."""

    export: Callable[[Path, nn.Module], None] | None = None
    """Writes the backbone into a folder of each checkpoint."""

    callbacks: Sequence[Any] = field(default=())
    """Ray Train's callbacks; they are called in the process that controls the run."""

    start_from: StartingPoint | None = None
    """Weights, step and history to start with; none starts with new weights."""

    datasets: Fingerprints = field(default_factory=dict)
    """Fingerprints of the datasets; each checkpoint keeps them."""


@dataclass(frozen=True)
class Outcome:
    """The last checkpoint of a finished run, and its history."""

    checkpoint: Path
    history: History
