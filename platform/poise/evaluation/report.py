"""Report of an evaluation of a finished model, and the inputs of such an evaluation.

In: a backbone, a prepared dataset, and settings for reading its images. Out: an
``EvaluationReport`` with values, confidence intervals, notes and pictures. Next:
``poise.cli.evaluate.measured``, which prints and logs the report.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from poise.data.dataset import ImageDataset
from poise.evaluation.measurement import Measured, Measurement, as_name
from poise.evaluation.reading.inference import Bench


@dataclass(frozen=True)
class Figure:
    """One measured value of an evaluation."""

    name: str
    """Name in lower case, such as ``corloc``. It becomes a part of the metric's name."""

    value: float
    unit: str = "%"
    """Unit of the value. It is empty for a number without a unit."""

    low: float | None = None
    """Lower end of the 95 % confidence interval. ``low`` and ``high`` are None if there is no
    interval.
    """

    high: float | None = None


@dataclass(frozen=True)
class EvaluationReport(Measurement):
    """Results of one evaluation of one model: values, notes, and names of files."""

    image_px: int
    """Side of the images in pixels, or 0 if images keep their own size."""

    num_images: int
    figures_found: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    """Sentences for the reader about assumptions, choices and omitted images."""

    pictures: tuple[str, ...] = ()
    """Names of picture files in the evaluation's folder."""

    data_files: tuple[str, ...] = ()
    """Names of other files in the evaluation's folder, for use by programs."""

    @property
    def file_name(self) -> str:
        """Name of the report's file, which is the name of the dataset."""
        return as_name(self.dataset_name)

    @property
    def measured(self) -> dict[str, Measured]:
        """Maps the name of each metric in the log to its value.

        A name is ``probe/<dataset>/<measurement>/<name>``.
        """
        return {
            f"{self.prefix}/{found.name}": Measured(found.value, found.unit, found.low, found.high)
            for found in self.figures_found
        }


@dataclass(frozen=True)
class EvaluationTask:
    """Model and dataset of one evaluation, with its settings and its folder."""

    backbone: nn.Module
    """Backbone on the device of ``bench``."""

    dataset: ImageDataset
    bench: Bench
    image_px: int
    """Side of the images that the model was trained with, in pixels."""

    folder: Path
    """Existing folder that receives pictures and other files."""

    max_images: int | None = None
    """Largest number of images, chosen at random with seed 0. None takes all images."""

    def changed_by_limit(self, *sizes: int) -> tuple[str, ...]:
        """Setting ``--max-images`` if it leaves images out, because this changes the metrics.

        For example, retrieval among fewer images is easier.

        Args:
            sizes: number of images of each dataset that the protocol reads without the limit. The
                default is all images of the task's dataset.
        """
        limit, most = self.max_images, max(sizes, default=len(self.dataset))
        return () if limit is None or limit >= most else (f"--max-images={limit}",)


Measure = Callable[[EvaluationTask], EvaluationReport]
"""Evaluation function. It raises ``PoiseError`` if the dataset or the backbone is not suitable."""
