"""Manifest of a prepared dataset: everything about the dataset except its images.

In: the file ``manifest.json``. Out: a ``Manifest``. Next: ``poise.data.dataset`` and all code that
reads labels.
"""

from typing import Literal

from pydantic import Field, ValidationError

from poise.config.base import Strict
from poise.config.errors import PoiseError, one_line
from poise.config.locations import AnyLocation, Location
from poise.config.storage import MissingFileError

MANIFEST_FILE = "manifest.json"


class Shard(Strict):
    """One Parquet file of a dataset."""

    file: str
    """Name of the file in the dataset's folder."""

    num_samples: int
    sha256: str


AnnotationKind = Literal["mask", "boxes", "sequence"]
"""Kind of annotation. ``poise.data.annotations`` explains the kinds."""

Bounds = tuple[float, float]
"""Range of pixel values that is scaled to eight bits. The first value becomes level 0, the second
becomes level 255.
"""


class ValueRange(Strict):
    """Range of pixel values that is scaled to eight bits, for images of more than eight bits."""

    low: float
    """Pixel value that becomes level 0. Lower values also become 0."""

    high: float
    """Pixel value that becomes level 255. Higher values also become 255."""

    is_given: bool = False
    """Whether the user gave the range. Otherwise Poise measured it."""

    num_images: int
    num_dark: int
    """Number of images whose pixel values cover less than a sixteenth of the range. Constant images
    are not counted.
    """

    num_clipped: int
    """Number of images with more than a thousandth of their pixels outside the range."""


class Manifest(Strict):
    """Description of a dataset.

    A sample's id is its row number over all shards, in the order of ``shards``. The columns of a
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
    """Maps number types in image files to ranges of pixel values, for images of more than eight
    bits. The number types are ``uint16``, ``int16``, ``uint32``, ``int32`` and ``float32``. Such
    images are always scaled by these ranges. Images of eight bits are not scaled, so they have no
    range.
    """

    fingerprint: str
    """SHA-256 over every sample's bytes and label, in order. The same input gives the same
    fingerprint.

    If the dataset has images of more than eight bits, the fingerprint includes ``value_ranges``,
    because these ranges change the pixels. The fingerprint includes the class names if the source
    gives labels as names (folders, or a text column).
    """

    annotations: tuple[AnnotationKind, ...] = ()
    """Kinds of annotations that every image has. The list is empty for datasets of `scenes` that an
    older version of Poise prepared.
    """

    mask_classes: tuple[str, ...] = ()
    """Names of the mask values 1, 2, …; empty if the values have no names or are numbers of
    objects.
    """

    mask_values: tuple[int, ...] = ()
    """Values that occur in the masks, in ascending order."""

    box_classes: tuple[str, ...] = ()
    """Names of the box labels 0, 1, …; empty if box labels have no names."""

    annotation_fingerprint: str = ""
    """SHA-256 over every image's annotations, in order; empty if the dataset has no annotations.

    ``fingerprint`` does not include annotations, because the images are the same with and without
    masks.
    """

    rows_per_group: int
    """Number of rows in each Parquet row group; the last group of a shard may be smaller. Readers
    load one whole group at a time.
    """

    shards: tuple[Shard, ...]

    @property
    def ranges(self) -> dict[str, Bounds]:
        """Maps each number type to the bounds of its range.

        ``poise.data.views.decode.decode_rgb`` needs them in this form.
        """
        return {name: (each.low, each.high) for name, each in self.value_ranges.items()}

    @classmethod
    def read(cls, folder: AnyLocation) -> "Manifest":
        """Reads the manifest of a prepared dataset.

        Raises:
            PoiseError: there is no manifest, or this version of Poise cannot read it.
        """
        path = Location.of(folder) / MANIFEST_FILE
        try:
            return cls.model_validate_json(path.read_text())
        except (FileNotFoundError, NotADirectoryError, MissingFileError):
            raise PoiseError(
                f"{folder}: not a prepared dataset (no {MANIFEST_FILE}); "
                f"make one with `poise data prepare SOURCE {folder}`"
            ) from None
        except OSError as error:
            raise PoiseError(f"{path}: cannot be read: {error.strerror or error}") from None
        except ValueError as error:  # not UTF-8, or not what ``Manifest`` wrote
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise PoiseError(
                f"{path}: not a manifest that this version reads ({one_line(why)}); prepare the "
                "dataset again"
            ) from None


def check_same_ranges(first: AnyLocation, second: AnyLocation) -> None:
    """Raises an error if two datasets scale their images of more than eight bits differently.

    Raises:
        PoiseError: a dataset is not prepared, or both have images of the same number type with
            different ranges.
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
