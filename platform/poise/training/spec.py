"""Description of one run, and its outcome.

In: a recipe, and the observers of the run. Out: a ``RunSpec``, which can be sent to the workers,
and an ``Outcome``. Next: ``poise.training.worker``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from poise.config.locations import Location
from poise.config.recipe import Recipe
from poise.config.shared_folders import Marks
from poise.diagnostics.history import History
from poise.training.datasets import Fingerprints
from poise.training.observer import RunObserver

Probe = Callable[[nn.Module, torch.device, Callable[[int], None]], Iterable[tuple[str, float]]]
"""Function that evaluates a backbone and yields pairs (name, value). The caller adds ``eval/`` to
each name. It calls its last argument after each batch with its number of images.
"""

BACKBONE_FOLDER = "backbone"
"""Name of the folder with the backbone's package inside a checkpoint."""


@dataclass(frozen=True)
class StartingPoint:
    """Checkpoint of another run, from which a run starts."""

    checkpoint: Location
    changed: tuple[str, ...]
    """Dotted keys of the settings in which the new recipe may differ from the checkpoint's recipe.
    All other settings must be equal.
    """


@dataclass(frozen=True)
class InitialWeights:
    """Trained backbone that a run starts from."""

    reference: str
    """Name of the model in the recipe."""

    resolved: str
    """Exact model: ``models:/NAME/VERSION``, or the absolute path of a package's folder."""

    package: str
    """Folder of the backbone's package, which all machines can read."""

    weights_sha256: str
    adapted: tuple[str, ...] = ()
    """Descriptions of everything that was changed or added to fit the recipe's backbone."""

    lineage: Mapping[str, Any] = field(default_factory=dict)
    """Record of the runs and datasets from which these weights come, as their package contains it.
    """


@dataclass(frozen=True)
class RunSpec:
    """Description of one run. All its fields can be sent to another machine."""

    recipe: Recipe
    name: str
    """Name of the run. If a run of this name exists in the storage, it is resumed."""

    storage: Location
    """Folder or object storage of all runs, which all machines can read and write."""

    observers: Sequence[Callable[[], RunObserver]] = ()
    """Functions that make the observers of the run. Worker rank 0 calls each of them once."""

    probe: Probe | None = None
    first_probe: Probe | None = None
    """Replaces ``probe`` for the network before the first step. It yields the same metrics."""

    export: Callable[[Path, nn.Module], None] | None = None
    """Function that writes the backbone's package into each checkpoint."""

    callbacks: Sequence[Any] = field(default=())
    """Callbacks of Ray Train. The process that controls the run calls them."""

    start_from: StartingPoint | None = None
    """Checkpoint of another run to continue from. None starts at step 0."""

    initial_weights: InitialWeights | None = None
    """Trained backbone to start from at step 0. None starts with random weights. A resumed run
    ignores this field.
    """

    say: Callable[[str], None] | None = None
    """Function that shows one line to the user, from any process; None shows nothing."""

    datasets: Fingerprints = field(default_factory=dict)
    """Fingerprints of the datasets, which are stored in each checkpoint."""

    marks: Marks = ()
    """Files that the controlling process keeps in the run's folders while the run trains. Workers
    look for them, to find out whether they share these folders.
    """

    @property
    def patience_s(self) -> float:
        """Seconds during which work is repeated if a storage fails."""
        return self.recipe.training.storage_patience_s


@dataclass(frozen=True)
class Outcome:
    """Last checkpoint of a finished run, and the metrics of its logged steps."""

    checkpoint: Location
    history: History
