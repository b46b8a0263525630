"""Converts the values of a label column to whole numbers or names.

In: an Arrow column of any type. Out: int64 numbers or strings, or the reason why the column
contains neither. Next: ``poise.data.sources.parquet_labels``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from poise.config.errors import first_few, one_line
from poise.config.wording import counted
from poise.data.sources.base import NO_LABEL
from poise.data.sources.parquet_files import ParquetHeader, read_columns
from poise.data.sources.safe_names import LONGEST_ERROR, shown

Kind = Literal["numbers", "names", "nothing"]

_SPLIT_COLUMNS = ("split", "subset", "partition", "fold", "set", "phase")

FEW_CLASSES = 10
IMAGES_PER_CLASS = 5


@dataclass(frozen=True)
class ColumnValues:
    """Values of one file's column with their counts. Missing values are left out."""

    kind: Kind
    counts: Counter[int] | Counter[str]
    type: str  # as Arrow names it

    @property
    def most(self) -> int:
        """Largest number in the column; −1 if there is no number."""
        numbers = [value for value in self.counts if isinstance(value, int)]
        return max(numbers, default=NO_LABEL)


_NAME_TYPES = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),  # as Spark writes
    pa.types.is_boolean,
)


class UnusableColumnError(Exception):
    """Error for a column without numbers or names. Its message says what the column contains."""


def kind_of(type_: pa.DataType) -> Kind | None:
    """Returns the kind of values in a column of this type.

    The kind is None for floats, lists, dates and other types.
    """
    if pa.types.is_dictionary(type_):
        return kind_of(type_.value_type)
    if pa.types.is_null(type_):
        return "nothing"
    if pa.types.is_integer(type_):
        return "numbers"
    return "names" if any(is_name(type_) for is_name in _NAME_TYPES) else None


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Casts a column to int64 numbers, to strings, or to nulls.

    A dictionary is decoded. Booleans become ``false`` and ``true``. Floats and decimals become
    numbers if all of them are whole; NaN is a missing value.

    Raises:
        UnusableColumnError: the column contains values of another kind.
    """
    type_ = column.type
    try:
        if pa.types.is_dictionary(type_):
            return plain(column.cast(type_.value_type))
        if pa.types.is_floating(type_):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, type_), column)
        if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
            return column.cast(pa.int64())
        kind = kind_of(type_)
        if kind == "numbers":
            return column.cast(pa.int64())
        if kind == "names":
            return column.cast(pa.string())
    except pa.ArrowException as error:
        raise UnusableColumnError(f"holds {type_}: {one_line(error, LONGEST_ERROR)}") from None
    if kind == "nothing":
        return column
    raise UnusableColumnError(f"holds {type_}, neither whole numbers nor names")


def read_values(file: str, column: str) -> ColumnValues:
    """Counts the values in one file's column.

    Raises:
        UnusableColumnError: the column contains neither numbers nor names.
        PoiseError: the file is damaged.
    """
    raw = read_columns(file, [column]).column(column)
    values = plain(raw)
    try:
        found = {
            entry["values"].as_py(): entry["counts"].as_py() for entry in pc.value_counts(values)
        }
    except UnicodeDecodeError:
        raise UnusableColumnError("holds text that is not UTF-8") from None
    found.pop(None, None)
    found.pop(NO_LABEL, None)
    if not found:
        return ColumnValues("nothing", Counter(), str(raw.type))
    kind: Kind = "numbers" if pa.types.is_integer(values.type) else "names"
    return ColumnValues(kind, Counter(found), str(raw.type))


def doubt(values: list[ColumnValues]) -> str | None:
    """Returns the reason why a column does not look like class labels; None if it does.

    A column looks like class labels in two cases. First: it has at most ten classes, and some
    values repeat or the values are all numbers from 0 on. Second: it has at least five images per
    class on average. For numbers, the number of classes is the largest number plus 1. So a column
    with the label 700 has 701 classes.
    """
    counts: Counter[int | str] = Counter()
    for each in values:
        counts.update(each.counts)
    if not counts:
        return None
    numbers = [value for value in counts if isinstance(value, int)]
    classes, rows = (max(numbers) + 1 if numbers else len(counts)), counts.total()
    repeats = len(counts) < rows or (numbers and len(counts) == classes) or rows == 1
    if (classes <= FEW_CLASSES and repeats) or classes * IMAGES_PER_CLASS <= rows:
        return None
    return f"{counted(classes, 'class', 'classes')} for {counted(rows, 'image')}"


def split_columns(headers: Sequence[ParquetHeader]) -> list[str]:
    """Returns a note for each text column that shows that the files contain several splits.

    Such columns are recognised by their names and values.
    """
    notes = []
    for name in headers[0].schema.names:
        columns = [header for header in headers if name in header.schema.names]
        texts = all(kind_of(each.schema.field(name).type) == "names" for each in columns)
        if name.casefold() not in _SPLIT_COLUMNS or not texts:
            continue
        values = sorted({str(v) for each in columns for v in read_values(each.path, name).counts})
        if len(values) > 1:
            notes.append(
                f"column '{shown(name)}' holds {shown(first_few(values, 4))}: images of all of "
                "them are taken; write one of them into a file of its own to prepare it alone"
            )
    return notes
