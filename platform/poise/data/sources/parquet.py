"""Parquet files with a column of image bytes, Hugging Face datasets among them.

In: a file, a folder or a glob. Out: a ``ParquetSource`` over its rows. Next:
``poise.data.preparation.ingest``.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poise.config.errors import PoiseError
from poise.data.sources.base import Indices, Part, Sample, hash_of
from poise.data.sources.files import stamp

IMAGE_NAMES = ("image", "img", "images", "image_bytes", "bytes", "jpg", "jpeg", "png", "webp")
LABEL_NAMES = ("label", "labels", "fine_label", "class_id", "class", "target", "y")
CLASS_NAME_NAMES = ("class_name", "label_name", "class", "category")

_ROWS_PER_READ = 256
_MOST_CLASSES = 1_000_000
_SPLIT = re.compile(r"^(.+)-\d{5}-of-\d{5}.*\.parquet$")


@dataclass(frozen=True)
class Columns:
    """Which columns hold what."""

    image: str
    label: str | None
    class_labels: tuple[str, ...] = ()  # where the labels are strings: their order


@dataclass(frozen=True)
class ParquetSource:
    """The rows of some Parquet files."""

    root: str
    files: tuple[str, ...]  # relative to the root
    num_rows: tuple[int, ...]
    columns: Columns
    classes: tuple[str, ...]

    @property
    def key(self) -> str:
        """Over every file's name, size and time."""
        stamps = (f"{file}\t{stamp(Path(self.root, file).stat())}" for file in self.files)
        return hash_of("\n".join((*stamps, repr(self.columns), *self.classes)).encode())

    def __len__(self) -> int:
        return sum(self.num_rows)

    def part(self, indices: Indices) -> Part:
        """File names and row numbers; the rows are read where the part is."""
        ends = np.cumsum(self.num_rows)
        owners = np.searchsorted(ends, indices, side="right")
        rows = tuple(
            (self.files[owner], indices[owners == owner] - (ends[owner] - self.num_rows[owner]))
            for owner in np.unique(owners)
        )
        return ParquetPart(self.root, self.columns, rows)


@dataclass(frozen=True)
class ParquetPart:
    """Some rows of some Parquet files."""

    root: str
    columns: Columns
    rows: tuple[tuple[str, Indices], ...]

    def samples(self) -> Iterator[Sample]:
        """Reads the row groups that hold the rows, a few rows at a time.

        Raises:
            PoiseError: a file is damaged.
        """
        for file, rows in self.rows:
            try:
                for batch, numbers in _read_rows(Path(self.root, file), self.columns, rows):
                    yield from self._batch_samples(file, batch, numbers)
            except (pa.ArrowInvalid, OSError) as error:
                raise PoiseError(f"{file}: cannot be read: {error}") from None

    def _batch_samples(self, file: str, batch: pa.RecordBatch, rows: Indices) -> Iterator[Sample]:
        images = _bytes_of(batch.column(self.columns.image))
        labels = _labels_of(batch, self.columns)
        for row, image, label in zip(rows, images, labels, strict=True):
            data = image.as_py()
            fault = "no image bytes in this row" if data is None else None
            yield Sample(data or b"", int(label), f"{file}#{row}", fault)


def parquet_files(text: str) -> list[str]:
    """The Parquet files that a path, a folder or a glob names; none where it is something else."""
    path = Path(text)
    if path.is_dir():
        return sorted(str(found) for found in path.rglob("*.parquet"))
    if path.suffix == ".parquet":
        return [text] if path.is_file() else sorted(map(str, path.parent.glob(path.name)))
    return []


def open_parquet(text: str, files: list[str]) -> ParquetSource:
    """Finds the columns by type and name, and the class names where they are told.

    Raises:
        PoiseError: a file is damaged, or no column or several may hold the images.
    """
    _check_one_split(text, files)
    root = Path(text) if Path(text).is_dir() else Path(files[0]).parent
    schemas, num_rows = zip(*(_header(file) for file in files), strict=True)
    columns, classes = _describe(text, files, schemas[0])
    for file, schema in zip(files, schemas, strict=True):
        wanted = [name for name in (columns.image, columns.label) if name]
        if missing := [name for name in wanted if name not in schema.names]:
            raise PoiseError(f"{file}: has no column '{missing[0]}', unlike {files[0]}")
    relative = tuple(str(Path(file).relative_to(root)) for file in files)
    return ParquetSource(str(root.resolve()), relative, num_rows, columns, classes)


def _check_one_split(text: str, files: list[str]) -> None:
    """Train and test in one folder are an accident waiting to be trained on."""
    matches = [_SPLIT.match(Path(file).name) for file in files]
    splits = sorted({match.group(1) for match in matches if match})
    if len(splits) > 1:
        raise PoiseError(
            f"{text}: holds several splits ({', '.join(splits)}); name one, "
            f"quoted: '{Path(files[0]).parent}/{splits[-1]}-*.parquet'"
        )


def _header(file: str) -> tuple[pa.Schema, int]:
    try:
        with pq.ParquetFile(file) as opened:
            return opened.schema_arrow, opened.metadata.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise PoiseError(f"{file}: not a readable Parquet file: {error}") from None


def _describe(text: str, files: list[str], schema: pa.Schema) -> tuple[Columns, tuple[str, ...]]:
    image = _image_column(text, schema)
    label = next((name for name in LABEL_NAMES if _is_label(schema, name)), None)
    if label is None:
        return Columns(image, None), ()
    if not pa.types.is_integer(schema.field(label).type):
        names = tuple(sorted({name for file in files for name in _strings(file, label)}))
        return Columns(image, label, names), names
    classes = _hugging_face_names(schema, label) or _class_names(files, schema, label)
    return Columns(image, label), classes


def _image_column(text: str, schema: pa.Schema) -> str:
    found = [field.name for field in schema if _holds_bytes(field.type)]
    named = [name for name in IMAGE_NAMES if name in found]
    if not found:
        raise PoiseError(f"{text}: no column holds image bytes (columns: {schema.names})")
    if len(found) > 1 and not named:
        raise PoiseError(
            f"{text}: columns {found} all hold bytes; rename the one with the images to 'image'"
        )
    return named[0] if named else found[0]


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_label(schema: pa.Schema, name: str) -> bool:
    if name not in schema.names:
        return False
    kind = schema.field(name).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    )


def _strings(file: str, column: str) -> list[str]:
    values = pq.read_table(file, columns=[column]).column(column)
    return [str(value) for value in pc.unique(values.cast(pa.string())).drop_null().to_pylist()]


def _hugging_face_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """Class names as the `datasets` library stores them in a file's metadata."""
    try:
        features: Any = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[label]["names"])
    except (KeyError, TypeError, ValueError):  # another writer's file, or no class labels
        return ()


def _class_names(files: list[str], schema: pa.Schema, label: str) -> tuple[str, ...]:
    """Class names from a column beside the integer labels, else the numbers themselves."""
    beside = next((name for name in CLASS_NAME_NAMES if _is_label(schema, name)), None)
    wanted = [label] + ([beside] if beside and beside != label else [])
    named: dict[int, str] = {}
    for file in files:
        table = pq.read_table(file, columns=wanted)
        pairs = table.group_by(wanted).aggregate([]).to_pylist()
        named.update((row[label], str(row[wanted[-1]])) for row in pairs if row[label] is not None)
    most = max(named, default=-1)
    if most >= _MOST_CLASSES:
        raise PoiseError(
            f"{files[0]}: column '{label}' holds {most}, which is no class number; rename it"
        )
    return tuple(named.get(number, str(number)) for number in range(most + 1))


def _read_rows(
    path: Path, columns: Columns, rows: Indices
) -> Iterator[tuple[pa.RecordBatch, Indices]]:
    """The wanted rows in order, with their numbers in the file."""
    wanted = [columns.image] + ([columns.label] if columns.label else [])
    with pq.ParquetFile(path) as opened:
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
                    numbers = rows[low:high]
                    yield batch.take(pa.array(numbers - start)), numbers
                start += batch.num_rows


def _bytes_of(column: pa.Array) -> pa.Array:
    return pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column


def _labels_of(batch: pa.RecordBatch, columns: Columns) -> Indices:
    """int64 labels, −1 where unknown."""
    if columns.label is None:
        return np.full(batch.num_rows, -1, dtype=np.int64)
    column = batch.column(columns.label)
    if columns.class_labels:
        column = pc.index_in(column.cast(pa.string()), pa.array(columns.class_labels))
    labels: Indices = column.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.maximum(labels, -1)
