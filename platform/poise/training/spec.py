"""Task of one run, and its outcome.

In: a recipe, and the observers of the run. Out: a ``RunSpec``, plain data that is sent to the
workers, and its ``Outcome``. Next: ``poise.training.worker``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
class InitialWeights:
    """The trained backbone that a run starts from."""

    reference: str
    """The model, as the recipe names it."""

    resolved: str
    """``models:/NAME/VERSION``, or the absolute path of a package's folder."""

    package: str
    """Folder of its package; every machine reaches it."""

    weights_sha256: str
    adapted: tuple[str, ...] = ()
    """What is changed or added, in words."""

    lineage: Mapping[str, Any] = field(default_factory=dict)
    """The history of these weights, as their package knows it."""


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
    first_probe: Probe | None = None
    """Measures the network before the first step, in place of ``probe``, with the same figures."""

    export: Callable[[Path, nn.Module], None] | None = None
    """Function that writes the backbone into a folder of each checkpoint."""

    callbacks: Sequence[Any] = field(default=())
    """Callbacks of Ray Train. The process that controls the run calls them."""

    start_from: StartingPoint | None = None
    """Another run's weights, step and history to go on from; none begins at step 0."""

    initial_weights: InitialWeights | None = None
    """The backbone to start from at step 0; none starts with random weights. A run that goes on
    from a checkpoint does not read it."""

    datasets: Fingerprints = field(default_factory=dict)
    """Fingerprints of the datasets. Each checkpoint contains them."""


@dataclass(frozen=True)
class Outcome:
    """Last checkpoint of a finished run, and its history."""

    checkpoint: Path
    history: History
