"""Report of an evaluation of a finished model, and the inputs of such an evaluation.

In: a backbone, a prepared dataset, and how images are passed. Out: an ``EvaluationReport``: values
with confidence intervals, notes and pictures. Next: ``poise.cli.evaluate.measured``, which prints
and logs the report.
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
    """One measured value of an evaluation."""

    name: str
    """Name in lower case, such as ``corloc``. It becomes a part of the metric's name."""

    value: float
    unit: str = "%"
    """Unit. It is empty for a number without a unit."""

    low: float | None = None
    """Lower end of the 95 % confidence interval. ``low`` and ``high`` are None if there is no
    interval.
    """

    high: float | None = None


@dataclass(frozen=True)
class EvaluationReport(Measurement):
    """Values of one evaluation of one model, with all facts that a reader needs."""

    image_px: int
    """Side of the images in pixels, or 0 if images keep their own size."""

    num_images: int
    figures_found: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    """Sentences for the reader about what was assumed, left out or chosen."""

    pictures: tuple[str, ...] = ()
    """Names of picture files in the evaluation's folder."""

    @property
    def file_name(self) -> str:
        """Name of the report's file, which is the name of the dataset."""
        return as_name(self.dataset_name)

    @property
    def figures(self) -> dict[str, float]:
        """Values by name, for the log: ``probe/<dataset>/<measurement>/<name>``."""
        prefix = f"probe/{as_name(self.dataset_name)}/{self.measurement}"
        return {f"{prefix}/{found.name}": found.value for found in self.figures_found}


@dataclass(frozen=True)
class EvaluationTask:
    """One model and the dataset to measure it on."""

    backbone: nn.Module
    """Backbone on the bench's device."""

    dataset: ImageDataset
    bench: Bench
    image_px: int
    """Side of the images that the model was trained with, in pixels."""

    folder: Path
    """Existing folder for pictures and other files."""

    max_images: int | None = None
    """Largest number of images, drawn with seed 0; None takes all."""

    @property
    def changed_by_limit(self) -> tuple[str, ...]:
        """The setting ``--max-images``, if it leaves images out: figures of fewer images differ.

        Retrieval among fewer images is easier, for example.
        """
        limit = self.max_images
        return () if limit is None or limit >= len(self.dataset) else (f"--max-images={limit}",)


Measure = Callable[[EvaluationTask], EvaluationReport]
"""Evaluation function. It raises ``PoiseError`` if the dataset or the backbone is not suitable."""
