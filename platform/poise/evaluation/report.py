"""The report that every evaluation of a finished model makes, and what it is made from.

In: a backbone, a prepared dataset and how images are passed. Out: an ``EvaluationReport``: figures
with intervals, notes and pictures. Next: ``poise.cli.evaluate.measured``, which prints and logs it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from poise.data.dataset import ImageDataset
from poise.evaluation.measurement import Measurement, as_name
from poise.evaluation.reading.bench import Bench


@dataclass(frozen=True)
class Figure:
    """One figure of an evaluation."""

    name: str
    """Name in lower case, such as ``corloc``; a part of the metric's name."""

    value: float
    unit: str = "%"
    """Unit; empty for a number without one."""

    low: float | None = None
    """Lower end of the 95 % interval; None, as ``high``, where the figure has none."""

    high: float | None = None


@dataclass(frozen=True)
class EvaluationReport(Measurement):
    """The figures of one evaluation of one model, and all that one must know to read them."""

    image_px: int
    """Side of the images in pixels; 0 where images keep their own size."""

    num_images: int
    figures_found: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    """Sentences for the reader: what was assumed, left out or chosen."""

    pictures: tuple[str, ...] = ()
    """Files in the evaluation's folder, by name."""

    @property
    def file_name(self) -> str:
        """Name of the report's file: the dataset."""
        return as_name(self.dataset_name)

    @property
    def figures(self) -> dict[str, float]:
        """Values by name, for the log: ``probe/<dataset>/<measurement>/<figure>``."""
        prefix = f"probe/{as_name(self.dataset_name)}/{self.measurement}"
        return {f"{prefix}/{found.name}": found.value for found in self.figures_found}


@dataclass(frozen=True)
class EvaluationTask:
    """One model to measure on one dataset."""

    backbone: nn.Module
    """On the bench's device."""

    dataset: ImageDataset
    bench: Bench
    image_px: int
    """Side of images that the model was made for, in pixels."""

    folder: Path
    """Existing folder for pictures and other files."""

    max_images: int | None = None
    """Largest number of images, drawn with seed 0; None takes all."""


Measure = Callable[[EvaluationTask], EvaluationReport]
"""An evaluation. It raises ``PoiseError`` where the dataset or the backbone lacks what it needs."""
