"""Source of Parquet files with a column of image bytes, for example Hugging Face datasets.

In: a command and the Parquet files that it names. Out: a ``ParquetSource`` of the files' rows.
Next: ``poise.data.preparation.ingest``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poise.config.errors import PoiseError, one_line
from poise.config.locations import Location
from poise.config.wording import counted
from poise.data.parquet_file import parquet_file
from poise.data.sources.base import (
    NO_ANNOTATIONS,
    NO_LABEL,
    Indices,
    Part,
    Sample,
    SourceAnnotations,
    hash_of,
)
from poise.data.sources.options import PrepareCommand
from poise.data.sources.parquet_classes import Numbering
from poise.data.sources.parquet_files import check_one_split, read_header
from poise.data.sources.parquet_images import bytes_of, find_image_column, path_of
from poise.data.sources.parquet_labels import find_labels
from poise.data.sources.parquet_values import plain, split_columns
from poise.data.sources.safe_names import LONGEST_ERROR, shown
from poise.data.sources.source_paths import common_folder, joined, relative, resolved

_ROWS_PER_READ = 256


@dataclass(frozen=True)
class Columns:
    """Names of the columns of images and labels, and the numbering of the classes."""

    image: str
    label: str | None
    numbering: Numbering


@dataclass(frozen=True)
class ParquetSource:
    """Source of the rows of some Parquet files."""

    root: str
    files: tuple[str, ...]  # relative to the root
    num_rows: tuple[int, ...]
    columns: Columns
    notes: tuple[str, ...] = field(default=(), compare=False)
    annotations: SourceAnnotations = NO_ANNOTATIONS

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty if there are no labels."""
        return self.columns.numbering.classes

    @property
    def named_labels(self) -> bool:
        """Whether the label column contains names."""
        return self.columns.numbering.named

    @property
    def key(self) -> str:
        """Hash of every file's name, size and time, and of the chosen columns."""
        stamps = (
            f"{file}\t{Location.of(joined(self.root, file)).status().stamp}" for file in self.files
        )
        text = "\n".join((*stamps, repr(self.columns)))
        return hash_of(text.encode("utf-8", "surrogateescape"))

    def __len__(self) -> int:
        return sum(self.num_rows)

    def part(self, indices: Indices) -> Part:
        """Returns a ``Part`` of the source that contains only these rows.

        The rows are read only when this ``Part`` is read.
        """
        ends = np.cumsum(self.num_rows)
        owners = np.searchsorted(ends, indices, side="right")
        renumbered = self.columns.numbering.renumbered
        rows = tuple(
            FileRows(
                self.files[owner],
                indices[owners == owner] - (ends[owner] - self.num_rows[owner]),
                renumbered[owner] if renumbered else (),
            )
            for owner in np.unique(owners)
        )
        return ParquetPart(self.root, self.columns, rows)


@dataclass(frozen=True)
class FileRows:
    """Some rows of one Parquet file."""

    file: str
    numbers: Indices
    places: tuple[int, ...]  # label of each number in the column; empty if both are the same


@dataclass(frozen=True)
class ParquetPart:
    """Some rows of some Parquet files."""

    root: str
    columns: Columns
    rows: tuple[FileRows, ...]

    def samples(self) -> Iterator[Sample]:
        """Reads the row groups that contain the part's rows, a few rows at a time.

        Raises:
            PoiseError: a file is damaged.
        """
        for rows in self.rows:
            path = Location.of(joined(self.root, rows.file))
            try:
                for batch, first_row in _read_rows(path, self.columns, rows.numbers):
                    yield from self._batch_samples(rows, batch, first_row)
            except (pa.ArrowException, OSError) as error:
                raise PoiseError(
                    f"{shown(str(path))}: cannot be read: {one_line(error, LONGEST_ERROR)}"
                ) from None

    def _batch_samples(
        self, rows: FileRows, batch: pa.RecordBatch, first_row: int
    ) -> Iterator[Sample]:
        column = batch.column(self.columns.image)
        labels, images = _labels_of(batch, self.columns, rows.places), bytes_of(column)
        low, high = np.searchsorted(rows.numbers, (first_row, first_row + batch.num_rows))
        for number in rows.numbers[low:high]:
            position = int(number) - first_row
            label, data, fault = labels[position], images[position].as_py(), None
            if data is None:
                path = path_of(column, position)
                fault = f"a path and no image bytes: '{shown(path)}'" if path else "no image bytes"
            yield Sample(data or b"", int(label), f"{shown(rows.file)}#{number}", fault)


def open_parquet(command: PrepareCommand, files: Sequence[str]) -> ParquetSource:
    """Opens Parquet files: finds the columns of images and labels, and the class names.

    Raises:
        PoiseError: the files belong to several splits, a file is damaged, there are no rows, or it
            is unclear which column contains the images or the labels.
    """
    check_one_split(command, files)
    headers = [read_header(file) for file in files]
    full = [header for header in headers if header.num_rows]
    if not full:
        raise PoiseError(
            f"{shown(command.source)}: {counted(len(files), 'Parquet file')} without any row; "
            "give files that hold images"
        )
    image = find_image_column(command, full)
    labels = find_labels(command, full, image)
    notes = [f"images from column '{shown(image)}'; {labels.note}"]
    if len(full) < len(headers):
        empty = counted(len(headers) - len(full), "file")
        notes.append(f"left out {empty} of {shown(command.source)} without any row")
    notes += split_columns(full)
    root = common_folder(files)
    return ParquetSource(
        root=resolved(root),
        files=tuple(relative(header.path, root) for header in full),
        num_rows=tuple(header.num_rows for header in full),
        columns=Columns(image, labels.column, labels.numbering),
        notes=tuple(notes),
    )


def _read_rows(
    path: Location, columns: Columns, rows: Indices
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yields the batches that contain some of the rows, each with the number of its first row."""
    wanted = [columns.image] + ([columns.label] if columns.label else [])
    with parquet_file(path) as opened:
        start = 0
        for group in range(opened.num_row_groups):
            end = start + opened.metadata.row_group(group).num_rows
            if np.searchsorted(rows, start) == np.searchsorted(rows, end):
                start = end
                continue
            batches = opened.iter_batches(_ROWS_PER_READ, row_groups=[group], columns=wanted)
            for batch in batches:
                low, high = np.searchsorted(rows, (start, start + batch.num_rows))
                if high > low:
                    yield batch, start
                start += batch.num_rows


def _labels_of(batch: pa.RecordBatch, columns: Columns, places: tuple[int, ...]) -> Indices:
    """Returns the labels of a batch as int64. Unknown labels are ``NO_LABEL``."""
    if columns.label is None:
        return np.full(batch.num_rows, NO_LABEL, dtype=np.int64)
    column = plain(batch.column(columns.label))
    if pa.types.is_null(column.type):
        return np.full(batch.num_rows, NO_LABEL, dtype=np.int64)
    if columns.numbering.named:
        column = pc.index_in(column, pa.array(columns.numbering.classes))
    labels: Indices = pc.fill_null(column.cast(pa.int64()), NO_LABEL).to_numpy(zero_copy_only=False)
    if not places:
        return labels
    return np.where(labels < 0, NO_LABEL, np.array(places, dtype=np.int64)[labels])
