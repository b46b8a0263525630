"""Reads masks, boxes and sequences of a prepared dataset, without its images.

In: a prepared dataset and sample ids. Out: ``Annotations``, one row group at a time. Next: the
evaluations that compare a model's output with annotated objects.

A dataset has up to three kinds of annotations: ``mask``, ``boxes`` and ``sequence``. All of them
refer to the upright image, as ``poise.data.views.decode.decode_rgb`` returns it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.data.dataset import ImageDataset, group_sizes
from poise.data.manifest import AnnotationKind
from poise.data.masks import Masks
from poise.data.parquet_file import parquet_file, unreadable

IGNORED = 255
"""Value of mask pixels that evaluations must ignore: outlines, crowds, unlabelled regions."""

NO_CLASS = -1
"""Label of a box if the class of its object is unknown."""

COLUMNS: dict[AnnotationKind, dict[str, pa.DataType]] = {
    "mask": {"mask": pa.binary()},
    "boxes": {
        "boxes": pa.list_(pa.list_(pa.int32())),
        "box_labels": pa.list_(pa.int32()),
        "box_difficult": pa.list_(pa.bool_()),
        "box_truncated": pa.list_(pa.bool_()),
    },
    "sequence": {"sequence": pa.string(), "frame": pa.int32()},
}
"""Maps each kind of annotation to its columns in a shard, with their types."""

_PREPARED_BY: dict[AnnotationKind, tuple[str, str]] = {
    "mask": ("masks", "`poise data prepare IMAGES NEW_FOLDER --masks FOLDER` (or --coco FILE)"),
    "boxes": ("boxes", "`poise data prepare IMAGES NEW_FOLDER --boxes FOLDER` (or --coco FILE)"),
    "sequence": ("sequences", "`poise data prepare FRAMES NEW_FOLDER --sequences`"),
}
_DRAWN: dict[AnnotationKind, str] = {
    "mask": "scenes",
    "boxes": "scenes",
    "sequence": "scenes-video",
}


@dataclass(frozen=True)
class Annotations:
    """Annotations of some images. Fields of kinds that were not requested are empty."""

    sample_ids: NDArray[np.int64]
    """Row numbers of the images in the dataset: int64 [n]."""

    masks: Sequence[NDArray[np.uint8]] = ()
    """n masks uint8 [h, w] with the size of the upright image. 0 is background, 1 to 254 are
    classes or objects (``Manifest.mask_classes`` names them), 255 is ``IGNORED``.
    """

    boxes: Sequence[NDArray[np.int32]] = ()
    """n arrays int32 [k, 4] of x0, y0, x1, y1 in pixels of the upright image. x1 and y1 are
    exclusive, so the width is x1 − x0. An image may have no box (k = 0).
    """

    box_labels: Sequence[NDArray[np.int32]] = ()
    """n arrays int32 [k]: the class of each box, as an index into ``Manifest.box_classes`` or as
    ``NO_CLASS``.
    """

    box_difficult: Sequence[NDArray[np.bool_]] = ()
    """n arrays bool [k]: whether the annotation says that the object is difficult to recognise."""

    box_truncated: Sequence[NDArray[np.bool_]] = ()
    """n arrays bool [k]: whether the annotation says that the object extends beyond its box."""

    sequences: Sequence[str] = ()
    """n names: the name of the video to which each image belongs."""

    frames: Sequence[int] = ()
    """n numbers: the place of each image in its video, from 0. Numbers are missing where a frame
    could not be decoded.
    """

    def __len__(self) -> int:
        return len(self.sample_ids)


def annotation_kinds(dataset: ImageDataset) -> tuple[AnnotationKind, ...]:
    """Returns the kinds of annotations that a dataset has.

    The manifest lists these kinds. A manifest of an older version of Poise has no list. Then the
    columns of the first shard show the kinds.
    """
    if dataset.manifest.annotations or not dataset.manifest.shards:
        return dataset.manifest.annotations
    path = dataset.folder / dataset.manifest.shards[0].file
    with parquet_file(path) as opened:
        names = set(opened.schema_arrow.names)
    return tuple(kind for kind, columns in COLUMNS.items() if next(iter(columns)) in names)


def check_annotations(dataset: ImageDataset, *kinds: AnnotationKind) -> None:
    """Checks that a dataset has these kinds of annotations.

    Raises:
        PoiseError: a kind is missing; the error names the command that prepares such a dataset.
    """
    found = annotation_kinds(dataset)
    for kind in kinds:
        if kind not in found:
            name, command = _PREPARED_BY[kind]
            raise PoiseError(
                f"{dataset.folder}: has no {name}; prepare images that have them with {command}, "
                f"or draw some with `poise data prepare {_DRAWN[kind]} NEW_FOLDER`"
            )


class AnnotationReader:
    """Reads annotations in any order. Memory contains only the row group that was read last.

    If sample ids are in ascending order, each row group is read only once. Threads must not share a
    reader.
    """

    def __init__(self, dataset: ImageDataset, *kinds: AnnotationKind) -> None:
        """Checks the dataset, but does not read annotations yet.

        Args:
            dataset: dataset with annotations.
            kinds: kinds to read.

        Raises:
            PoiseError: the dataset has no annotations of one of these kinds.
        """
        check_annotations(dataset, *kinds)
        self._dataset, self._kinds = dataset, kinds
        self._sizes = group_sizes(dataset.manifest)
        self._ends = np.cumsum(self._sizes)
        self._read: tuple[int, pa.Table] | None = None

    def read(self, sample_ids: NDArray[np.int64]) -> Annotations:
        """Reads the annotations of the images with these ids, in the order of the ids.

        Raises:
            IndexError: an id is not one of 0 … number of images − 1.
            PoiseError: a shard cannot be read.
        """
        ids = np.asarray(sample_ids, dtype=np.int64)
        if len(ids) and not 0 <= ids.min() <= ids.max() < len(self._dataset):
            raise IndexError(f"sample ids must be from 0 to {len(self._dataset) - 1}")
        groups = np.searchsorted(self._ends, ids, side="right")
        pieces, positions = [], []
        for group in np.unique(groups):
            inside = np.flatnonzero(groups == group)
            rows = ids[inside] - (self._ends[group] - self._sizes[group])
            pieces.append(self._group(int(group)).take(pa.array(rows)))
            positions.append(inside)
        if not pieces:
            return Annotations(ids)
        order = np.argsort(np.concatenate(positions))
        table = pa.concat_tables(pieces).take(pa.array(order))
        return _annotations(table, ids, str(self._dataset.folder))

    def by_group(self, sample_ids: NDArray[np.int64]) -> Iterator[Annotations]:
        """Yields annotations one row group at a time. The sample ids must be in ascending order."""
        groups = np.searchsorted(self._ends, sample_ids, side="right")
        for group in np.unique(groups):
            yield self.read(sample_ids[groups == group])

    def _group(self, index: int) -> pa.Table:
        if self._read is None or self._read[0] != index:
            self._read = None  # frees the last group before the next one is read
            self._read = index, self._load(index)
        return self._read[1]

    def _load(self, index: int) -> pa.Table:
        manifest = self._dataset.manifest
        for shard in manifest.shards:
            count = -(-shard.num_samples // manifest.rows_per_group)
            if index < count:
                break
            index -= count
        path = self._dataset.folder / shard.file
        try:
            with parquet_file(path) as opened:
                names = set(opened.schema_arrow.names)
                wanted = [name for kind in self._kinds for name in COLUMNS[kind] if name in names]
                return opened.read_row_group(index, columns=wanted, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(path, error, "its annotations") from None


def read_annotations(
    dataset: ImageDataset, sample_ids: NDArray[np.int64], *kinds: AnnotationKind
) -> Iterator[Annotations]:
    """Yields the annotations of some images, one row group at a time.

    Memory contains only one row group of encoded masks and boxes.

    Args:
        dataset: dataset with annotations.
        sample_ids: int64 [n], in ascending order; an id may occur twice.
        kinds: ``"mask"``, ``"boxes"`` or ``"sequence"``.

    Raises:
        ValueError: the sample ids are not in ascending order.
        PoiseError: the dataset has no annotations of one of these kinds, or a shard cannot be read.
    """
    ids = np.asarray(sample_ids, dtype=np.int64)
    if (np.diff(ids) < 0).any():
        raise ValueError("sample ids must ascend; use AnnotationReader for any other order")
    return AnnotationReader(dataset, *kinds).by_group(ids)


def sequences_of(dataset: ImageDataset) -> dict[str, NDArray[np.int64]]:
    """Maps the name of each video to the sample ids of its frames, in frame order.

    Raises:
        PoiseError: the dataset has no sequences, or a shard cannot be read.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    everything = np.arange(len(dataset), dtype=np.int64)
    for each in read_annotations(dataset, everything, "sequence"):
        for sample_id, name, frame in zip(
            each.sample_ids.tolist(), each.sequences, each.frames, strict=True
        ):
            found.setdefault(name, []).append((frame, sample_id))
    return {
        name: np.array([sample_id for _, sample_id in sorted(frames)], dtype=np.int64)
        for name, frames in found.items()
    }


def _annotations(table: pa.Table, ids: NDArray[np.int64], folder: str) -> Annotations:
    columns = {name: table[name].to_pylist() for name in table.column_names}
    boxes = [np.array(each, np.int32).reshape(-1, 4) for each in columns.get("boxes", ())]
    # Datasets of older versions have boxes without labels and flags.
    labels = columns.get("box_labels") or [[NO_CLASS] * len(each) for each in boxes]
    no_flags = [[False] * len(each) for each in boxes]
    difficult = columns.get("box_difficult") or no_flags
    truncated = columns.get("box_truncated") or no_flags
    origins = [f"{folder}: sample {number}" for number in ids.tolist()]
    return Annotations(
        sample_ids=ids,
        masks=Masks(columns["mask"], origins) if "mask" in columns else (),
        boxes=boxes,
        box_labels=[np.array(each, np.int32) for each in labels],
        box_difficult=[np.array(each, np.bool_) for each in difficult],
        box_truncated=[np.array(each, np.bool_) for each in truncated],
        sequences=columns.get("sequence", ()),
        frames=columns.get("frame", ()),
    )
