"""One run, ready to be carried out, and what is left of it.

In: a recipe, and who follows the run. Out: a ``Job``, plain data that travels to the workers, and
its ``Outcome``. Next: ``poise.training.worker``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from poise.config.recipe import Recipe
from poise.diagnostics.history import History
from poise.training.report import RunObserver

Probe = Callable[[nn.Module, torch.device], Iterable[tuple[str, float]]]
"""Yields (name, value) of a backbone; the caller adds the prefix ``eval/``."""


@dataclass(frozen=True)
class Origin:
    """Another run's checkpoint, which a run begins with."""

    checkpoint: Path
    changed: tuple[str, ...]
    """Settings, by dotted key, that may differ from those which made it; the rest must not."""


@dataclass(frozen=True)
class Job:
    """One run, ready to be carried out. Everything in it can be sent to another machine."""

    recipe: Recipe
    name: str
    """Of the run; a job of the same name and storage resumes it."""

    storage: Path
    """Folder of runs, reached by every machine."""

    observers: Sequence[Callable[[], RunObserver]] = ()
    """Make those who follow the run, on its first worker."""

    probe: Probe | None = None
    export: Callable[[nn.Module, Path], None] | None = None
    """Writes the backbone into a folder of each checkpoint."""

    callbacks: Sequence[Any] = field(default=())
    """Ray Train's, called where the run is controlled."""

    origin: Origin | None = None
    """What the run begins with, step and history included; none begins with new weights."""


@dataclass(frozen=True)
class Outcome:
    """A finished run."""

    checkpoint: Path
    history: History


BACKBONE_FOLDER = "backbone"
