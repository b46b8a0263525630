"""Manifest of a prepared dataset: everything about the dataset except its images.

In: ``manifest.json``. Out: ``Manifest``. Next: ``poise.data.dataset`` and all code that reads
labels.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from poise.config.base import Strict
from poise.config.errors import PoiseError, one_line
from poise.config.paths import given_path

MANIFEST_FILE = "manifest.json"


class Shard(Strict):
    """One Parquet file of a dataset."""

    file: str
    """Name in the dataset's folder."""

    num_samples: int
    sha256: str


AnnotationKind = Literal["mask", "boxes", "sequence"]
"""Kind of annotation: see ``poise.data.annotations``."""

Bounds = tuple[float, float]
"""Value that becomes level 0 and value that becomes level 255."""


class ValueRange(Strict):
    """Range that a dataset's images of more than eight bits use, and how well they fill it."""

    low: float
    """Value that becomes level 0. Lower values are clipped."""

    high: float
    """Value that becomes level 255. Higher values are clipped."""

    is_given: bool = False
    """Whether the user gave the range. Otherwise it was measured."""

    num_images: int
    num_dark: int
    """Number of images that use less than a sixteenth of the range. Constant images do not count.
    """

    num_clipped: int
    """Number of images with more than a thousandth of their pixels outside the range."""


class Manifest(Strict):
    """Description of a dataset.

    A sample's id is its row number over all shards, in the order of the list. The columns of a
    shard are `image` (the original encoded bytes), `label` (int64, −1 if unknown) and `path` (the
    origin of the image). Annotations add the columns that ``poise.data.annotations`` reads.
    """

    schema_version: Literal[1] = 1
    name: str
    source: str
    seed: int
    num_samples: int
    num_quarantined: int
    classes: tuple[str, ...]
    """Class names in label order; empty if there are no labels."""

    channel_mean: tuple[float, float, float]
    channel_std: tuple[float, float, float]
    """Mean and standard deviation of RGB values in [0, 1]. All images have the same weight."""

    value_ranges: dict[str, ValueRange] = Field(default_factory=dict)
    """Ranges of images of more than eight bits, by the number type of their files (``uint16``,
    ``int16``, ``uint32``, ``int32``, ``float32``). Such images are always scaled by these ranges.
    Images of eight bits have no range and are not scaled.
    """

    fingerprint: str
    """SHA-256 over every sample's bytes and label, in order. The same input gives the same
    fingerprint.

    The value ranges are included if there are any. The class names are included if the labels came
    as names (folders, or a text column).
    """

    annotations: tuple[AnnotationKind, ...] = ()
    """Kinds of annotations that every image has. It is empty for `scenes` of older versions."""

    mask_classes: tuple[str, ...] = ()
    """Names of the mask values 1, 2, …; empty if the values number objects or have no names."""

    mask_values: tuple[int, ...] = ()
    """Values that occur in the masks, ascending."""

    box_classes: tuple[str, ...] = ()
    """Names of the box labels 0, 1, …; empty if boxes have none."""

    annotation_fingerprint: str = ""
    """SHA-256 over every image's annotations, in order; empty if there are none.

    ``fingerprint`` leaves them out: images are the same with and without masks.
    """

    rows_per_group: int
    """Number of rows in each Parquet row group; the last group of a shard may be smaller. One read
    loads one group.
    """

    shards: tuple[Shard, ...]

    @property
    def ranges(self) -> dict[str, Bounds]:
        """Bounds that ``poise.data.views.decode.decode_rgb`` scales images by."""
        return {name: (each.low, each.high) for name, each in self.value_ranges.items()}

    @classmethod
    def read(cls, folder: str | Path) -> "Manifest":
        """Reads the manifest of a prepared dataset.

        Raises:
            PoiseError: there is no manifest, or this version of Poise cannot read it.
        """
        path = given_path(folder) / MANIFEST_FILE
        if not path.is_file():
            raise PoiseError(
                f"{folder}: not a prepared dataset (no {MANIFEST_FILE}); "
                f"make one with `poise data prepare SOURCE {folder}`"
            )
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            raise PoiseError(
                f"{path}: not a manifest that this version reads "
                f"({one_line(error.errors()[0]['msg'])}); prepare the dataset again"
            ) from None


def check_same_ranges(first: str | Path, second: str | Path) -> None:
    """Raises an error if two datasets scale their images of more than eight bits differently.

    Raises:
        PoiseError: a dataset is not prepared, or both have the same container with different
            ranges.
    """
    there, here = Manifest.read(first).ranges, Manifest.read(second).ranges
    for container in sorted(there.keys() & here.keys()):
        wanted, found = (
            "{:.15g} {:.15g}".format(*bounds) for bounds in (there[container], here[container])
        )
        if wanted != found:
            raise PoiseError(
                f"{second}: its {container} values have the range {found}, those of {first} the "
                f"range {wanted}, so equal images look different; prepare it again in a new folder "
                f"with `--range {wanted}`"
            )
