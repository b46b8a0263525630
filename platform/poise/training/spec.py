"""The task of one run, and its outcome.

In: a recipe, and the observers that follow the run. Out: a ``RunSpec``, plain data that travels to
the workers, and its ``Outcome``. Next: ``poise.training.worker``.
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
    """The run's name. A run of the same name and storage is resumed."""

    storage: Path
    """Folder of runs; every machine reaches it."""

    observers: Sequence[Callable[[], RunObserver]] = ()
    """Each makes an observer of the run, on the first worker."""

    probe: Probe | None = None
    first_probe: Probe | None = None
    """Measures the network before the first step, in place of ``probe``, with the same figures."""

    export: Callable[[Path, nn.Module], None] | None = None
    """Writes the backbone into a folder of each checkpoint."""

    callbacks: Sequence[Any] = field(default=())
    """Ray Train's callbacks; they are called in the process that controls the run."""

    start_from: StartingPoint | None = None
    """Another run's weights, step and history to go on from; none begins at step 0."""

    initial_weights: InitialWeights | None = None
    """The backbone to start from at step 0; none starts with random weights. A run that goes on
    from a checkpoint does not read it."""

    datasets: Fingerprints = field(default_factory=dict)
    """Fingerprints of the datasets; each checkpoint keeps them."""


@dataclass(frozen=True)
class Outcome:
    """The last checkpoint of a finished run, and its history."""

    checkpoint: Path
    history: History
