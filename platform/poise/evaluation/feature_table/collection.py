"""Images to embed: a prepared dataset, or a folder of image files.

In: a path that the user typed. Out: a ``Collection``, whose images have positions, paths and
perhaps labels. Next: ``poise.evaluation.feature_table.tolerant_images``.

A folder of image files needs no preparation, so a damaged file is found only when it is read. The
sample of a damaged file stores the reason in ``fault``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.wording import counted
from poise.data.dataset import ImageDataset
from poise.data.manifest import MANIFEST_FILE, Bounds
from poise.data.parquet_file import parquet_file, unreadable
from poise.data.sources.base import NO_LABEL, Part, Sample
from poise.data.sources.files import FilesSource, ImageFile, is_other_name
from poise.data.sources.options import FOLDER_LABELS
from poise.data.sources.safe_names import check_class_names, shown
from poise.data.sources.walk import walk

_CONTAINERS = ("uint16", "int16", "uint32", "int32", "float32")

Ids = NDArray[np.int64]


class Collection(Protocol):
    """Images in a fixed order. A position is the index of an image, from 0."""

    @property
    def folder(self) -> Location:
        """Folder of the images."""

    @property
    def key(self) -> str:
        """Hash that changes whenever the images change."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order. The tuple is empty without labels."""

    @property
    def ranges(self) -> Mapping[str, Bounds]:
        """Value ranges of images with more than eight bits, by pixel type.

        The lowest value becomes black, and the highest value becomes white.
        """

    def __len__(self) -> int: ...

    def part(self, ids: Ids) -> Part:
        """Returns the images at these positions. Any thread may read the result, but only once."""

    def paths(self, ids: Ids) -> list[str]:
        """Returns the path of the file that each image comes from."""

    def labels(self, ids: Ids) -> list[int]:
        """Returns the label of each image, or −1 if it is unknown."""


@dataclass(frozen=True)
class _ReadPart:
    """Encoded images that were already read into memory."""

    read: tuple[Sample, ...]

    def samples(self) -> Iterator[Sample]:
        return iter(self.read)


@dataclass(frozen=True)
class DatasetCollection:
    """Images of a prepared dataset, as a ``Collection``."""

    dataset: ImageDataset

    @property
    def folder(self) -> Location:
        """Folder of the dataset."""
        return self.dataset.folder

    @property
    def key(self) -> str:
        """Fingerprint of the dataset."""
        return self.dataset.manifest.fingerprint

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order. The tuple is empty without labels."""
        return self.dataset.manifest.classes

    @property
    def ranges(self) -> Mapping[str, Bounds]:
        """Value ranges of images with more than eight bits, from the manifest."""
        return self.dataset.manifest.ranges

    def __len__(self) -> int:
        return len(self.dataset)

    def part(self, ids: Ids) -> Part:
        """Reads the images immediately, because threads must not share a dataset."""
        encoded = self.dataset.read(ids)
        return _ReadPart(tuple(Sample(data, NO_LABEL, "") for data in encoded.images))

    def paths(self, ids: Ids) -> list[str]:
        """Reads the path of each image's original file from the dataset's Parquet shards."""
        return [str(path) for path in self._column("path", ids)]

    def labels(self, ids: Ids) -> list[int]:
        """Reads the label of each image from the dataset's Parquet shards."""
        return [int(label) for label in self._column("label", ids)]

    def _column(self, name: str, ids: Ids) -> Iterator[Any]:
        """Yields values of one column for ascending row numbers.

        Reads only the shards with these rows.
        """
        first = 0
        for shard in self.dataset.manifest.shards:
            rows = ids[(ids >= first) & (ids < first + shard.num_samples)] - first
            if len(rows):
                table = self._read(self.folder / shard.file, name)
                yield from table[name].take(rows).to_pylist()
            first += shard.num_samples

    def _read(self, shard: Location, name: str) -> pa.Table:
        try:
            with parquet_file(shard) as opened:
                return opened.read(columns=[name])
        except (OSError, pa.ArrowException) as error:
            raise unreadable(shard, error) from None


@dataclass(frozen=True)
class FolderCollection:
    """Image files of a folder, sorted by path, as a ``Collection``."""

    source: FilesSource
    ranges: Mapping[str, Bounds] = field(default_factory=dict)

    @property
    def folder(self) -> Location:
        """Folder of the images."""
        return Location.of(self.source.root)

    @property
    def key(self) -> str:
        """Hash of the files' names, sizes, times and labels."""
        return self.source.key

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders. The tuple is empty without labels."""
        return self.source.classes

    def __len__(self) -> int:
        return len(self.source)

    def part(self, ids: Ids) -> Part:
        """Returns the files at these positions. The calling thread reads them later."""
        return self.source.part(ids)

    def paths(self, ids: Ids) -> list[str]:
        """Returns the path of each file, relative to the folder."""
        return [shown(self.source.files[each].path) for each in ids.tolist()]

    def labels(self, ids: Ids) -> list[int]:
        """Returns the number of each file's class folder, or −1 for a file in no class folder."""
        return [self.source.files[each].label for each in ids.tolist()]


def open_collection(
    text: str, label: str | None = None, value_range: Bounds | None = None
) -> Collection:
    """Opens a prepared dataset, or a folder of images and all folders inside it.

    Args:
        text: path as the user typed it.
        label: ``folders`` uses the names of the top folders as classes. None reads no labels.
        value_range: values that become black and white, for images with more than eight bits.

    Raises:
        PoiseError: the folder does not exist, it contains no images, or an option does not apply.
    """
    if label not in (None, FOLDER_LABELS):
        raise PoiseError(f"--label {label}: write --label {FOLDER_LABELS}, or leave it out")
    place = Location.of(text)
    if (place / MANIFEST_FILE).is_file():
        for option, given in (("--label", label), ("--range", value_range)):
            if given is not None:
                raise PoiseError(
                    f"{option}: {text} is a prepared dataset, which has its own labels and ranges; "
                    "leave the option out"
                )
        return DatasetCollection(ImageDataset.for_one_pass(place))
    if not place.is_folder():
        raise PoiseError(f"{text}: is no folder of images and no prepared dataset")
    ranges = {} if value_range is None else dict.fromkeys(_CONTAINERS, value_range)
    return FolderCollection(_files(text, place, label is not None), ranges)


def _files(text: str, place: Location, has_labels: bool) -> FilesSource:
    everything = walk(str(place)).files
    found = [file for file in everything if not is_other_name(file.path)]
    if not found and not everything:
        raise PoiseError(f"{text}: is empty; give a folder of images")
    if not found:
        raise PoiseError(
            f"{text}: holds no images, only {counted(len(everything), 'other file')} such as "
            f"'{shown(everything[0].path)}'; prepare Parquet files or archives first: "
            f"`poise data prepare {text} DEST`"
        )
    classes = _class_names(text, [file.path for file in found]) if has_labels else ()
    numbers = {name: number for number, name in enumerate(classes)}
    files = tuple(
        ImageFile(file.path, numbers.get(file.path.partition("/")[0], NO_LABEL), file.stamp)
        for file in found
    )
    return FilesSource(str(place.absolute()), classes, files)


def _class_names(text: str, paths: Sequence[str]) -> tuple[str, ...]:
    classes = tuple(sorted({path.partition("/")[0] for path in paths if "/" in path}))
    if not classes:
        raise PoiseError(f"--label {FOLDER_LABELS}: {text} holds no folders; leave it out")
    check_class_names(text, classes)
    return classes
