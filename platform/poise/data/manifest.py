"""The manifest of a prepared dataset: everything about it but its images.

In: ``manifest.json``. Out: ``Manifest``. Next: ``poise.data.dataset`` and every reader of labels.
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
"""What is known of an image beside its label: see ``poise.data.annotations``."""

Bounds = tuple[float, float]
"""The value that becomes level 0 and the value that becomes level 255."""


class ValueRange(Strict):
    """The range that a dataset's images of more than eight bits use, and how they fill it."""

    low: float
    """Value that becomes level 0; lower ones are clipped."""

    high: float
    """Value that becomes level 255; higher ones are clipped."""

    is_given: bool = False
    """Whether a person gave the range; else it was measured."""

    num_images: int
    num_dark: int
    """Images that stay below a sixteenth of the range, constant images aside."""

    num_clipped: int
    """Images of which more than a thousandth of the pixels lies outside the range."""


class Manifest(Strict):
    """The description of a dataset.

    A sample's id is its row number over all shards, in the order listed. The columns of a shard
    are `image` (the encoded bytes as they came), `label` (int64, −1 where unknown) and `path`
    (where it came from). Annotations add the columns that ``poise.data.annotations`` reads.
    """

    schema_version: Literal[1] = 1
    name: str
    source: str
    seed: int
    num_samples: int
    num_quarantined: int
    classes: tuple[str, ...]
    """Class names in label order; empty where there are no labels."""

    channel_mean: tuple[float, float, float]
    channel_std: tuple[float, float, float]
    """Mean and standard deviation of RGB values in [0, 1]; all images weigh the same."""

    value_ranges: dict[str, ValueRange] = Field(default_factory=dict)
    """Ranges of images with more than eight bits, by how their files store a number (``uint16``,
    ``int16``, ``uint32``, ``int32``, ``float32``). Everything that decodes an image scales it by
    these. Images of eight bits have none and are left as they are."""

    fingerprint: str
    """SHA-256 over every sample's bytes and label, in order: same input, same fingerprint.

    The value ranges belong to it where there are some, and the class names where the labels came as
    names (folders, a column of text).
    """

    annotations: tuple[AnnotationKind, ...] = ()
    """Kinds of annotations that every image has. Empty also if an older version drew `scenes`."""

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
    """Rows in each Parquet row group but a shard's last; one read brings one group."""

    shards: tuple[Shard, ...]

    @property
    def ranges(self) -> dict[str, Bounds]:
        """Returns the bounds that ``poise.data.views.decode.decode_rgb`` scales by."""
        return {name: (each.low, each.high) for name, each in self.value_ranges.items()}

    @classmethod
    def read(cls, folder: str | Path) -> "Manifest":
        """Reads the manifest of a prepared dataset.

        Raises:
            PoiseError: there is none, or this version cannot read it.
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
    """Refuses two datasets whose images of more than eight bits are scaled differently.

    Raises:
        PoiseError: one is not prepared, or they share a container but not its range.
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
