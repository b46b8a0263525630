"""Finds the names of numbered classes in Parquet files, with the same numbers in all files.

In: label values, and names from the metadata or from a second column. Out: a ``Numbering``. Next:
``poise.data.sources.parquet_labels``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from poise.config.errors import PoiseError
from poise.data.sources.base import NO_LABEL
from poise.data.sources.options import NO_LABELS, PrepareCommand
from poise.data.sources.parquet_files import ParquetHeader, read_columns
from poise.data.sources.parquet_values import ColumnValues, UnusableColumnError, plain
from poise.data.sources.safe_names import shown

MOST_CLASSES = 1_000_000
"""Labels must be below this number. Larger numbers are identifiers and not labels."""


@dataclass(frozen=True)
class Numbering:
    """Class names in label order, and the conversion of each file's numbers to labels."""

    classes: tuple[str, ...]
    named: bool
    """Whether the column contains names. If so, a label is the index of the name in ``classes``."""

    renumbered: tuple[tuple[int, ...], ...] = ()
    """For each file, the label of each number in its label column. The tuple is empty if the
    numbers are already labels.
    """


def declared_names(headers: Sequence[ParquetHeader]) -> dict[str, tuple[str, ...]]:
    """Maps columns that Hugging Face's metadata declare as class labels to their class names.

    If the names differ between files, the first file that has names decides.
    """
    found: dict[str, tuple[str, ...]] = {}
    for header in headers:
        for column, names in _declared(header.schema).items():
            found.setdefault(column, names)
    return found


def number_classes(
    command: PrepareCommand,
    headers: Sequence[ParquetHeader],
    column: str,
    values: Sequence[ColumnValues],
    name_column: str | None,
) -> tuple[Numbering, str]:
    """Gives each class in the label column a number from 0, and finds the names of the classes.

    The label column contains either class numbers or class names.

    Args:
        command: command that the user typed, for errors.
        headers: headers of all files.
        column: column with the labels.
        values: values of the column in every file.
        name_column: another column, with the names of the classes, or None. It is used only if the
            label column contains numbers and the metadata of the files have no names.

    Returns:
        The numbering, and words that say where the class names come from.

    Raises:
        PoiseError: a number has no name, or the names in different files cannot be matched.
    """
    if any(each.kind == "names" for each in values):
        names = sorted({str(name) for each in values for name in each.counts})
        return Numbering(tuple(names), named=True), "which holds the class names"
    most = max(each.most for each in values)
    if most >= MOST_CLASSES:
        raise PoiseError(
            f"{shown(command.source)}: column '{shown(column)}' holds {most}, which is no class "
            f"number; without labels: `{command.using(label=NO_LABELS)}`"
        )
    tables = [_declared_table(header.schema, column) for header in headers]
    if any(tables):
        _check_range(command, headers, column, values, tables)
        numbering, apart = _joined(command, headers, tables, most)
        return numbering, f"named by the files' metadata{apart}"
    if name_column is not None:
        tables = _complete(values, [_names_from(h.path, column, name_column) for h in headers])
        numbering, apart = _joined(command, headers, tables, most)
        return numbering, f"named by column '{shown(name_column)}'{apart}"
    return Numbering(tuple(map(str, range(most + 1))), named=False), "whose classes have no names"


def one_to_one(headers: Sequence[ParquetHeader], one: str, other: str) -> bool:
    """Returns True if two columns match one to one in each file.

    If so, every value of one column always occurs with the same value of the other column.
    """
    for header in headers:
        pairs = _pairs(header.path, one, other)
        if len({left for left, _ in pairs}) != len(pairs):
            return False
        if len({right for _, right in pairs}) != len(pairs):
            return False
    return True


def _pairs(file: str, one: str, other: str) -> set[tuple[Any, Any]]:
    """Returns the pairs of values that occur in the same row, without missing values."""
    if one == other:
        return set()
    try:
        table = read_columns(file, [one, other])
        table = pa.table({"one": plain(table[one]), "other": plain(table[other])})
        rows = table.group_by(["one", "other"]).aggregate([]).to_pylist()
    except (KeyError, UnusableColumnError, UnicodeDecodeError):
        return {(0, 0), (0, 1)}  # columns that cannot be compared are not one to one
    missing = (None, NO_LABEL)
    pairs = ((row["one"], row["other"]) for row in rows)
    return {(one, other) for one, other in pairs if one not in missing and other not in missing}


def _names_from(file: str, column: str, name_column: str) -> dict[int, str]:
    return {number: str(name) for number, name in _pairs(file, column, name_column)}


def _complete(
    values: Sequence[ColumnValues], tables: Sequence[dict[int, str]]
) -> list[dict[int, str]]:
    """Gives a name to each number that has no name in its file.

    The name comes from another file. If no file has a name for the number, the number is the name.
    """
    known = {number: name for table in tables for number, name in table.items()}
    return [
        {int(n): known.get(int(n), str(n)) for n in each.counts} | table
        for each, table in zip(values, tables, strict=True)
    ]


def _declared(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Reads class names as the `datasets` library stores them in a file's metadata."""
    try:
        features: Any = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        items = list(features.items())
    except (KeyError, TypeError, ValueError, AttributeError):  # file of another library
        return {}
    return {
        column: tuple(map(str, feature["names"]))
        for column, feature in items
        if column in schema.names
        and isinstance(feature, Mapping)
        and isinstance(feature.get("names"), list)
        and feature["names"]
    }


def _declared_table(schema: pa.Schema, column: str) -> dict[int, str]:
    return dict(enumerate(_declared(schema).get(column, ())))


def _check_range(
    command: PrepareCommand,
    headers: Sequence[ParquetHeader],
    column: str,
    values: Sequence[ColumnValues],
    tables: Sequence[Mapping[int, str]],
) -> None:
    """Checks that every number in the label column has a class name.

    Files without class names use the names of the first file that has names.
    """
    first = next(table for table in tables if table)
    for header, each, table in zip(headers, values, tables, strict=True):
        known = len(table or first)
        if each.most >= known:
            raise PoiseError(
                f"{shown(header.path)}: column '{shown(column)}' holds label {each.most}, but the "
                f"file's metadata name {known} classes (0 to {known - 1}); mend the file, or "
                f"prepare without labels: `{command.using(label=NO_LABELS)}`"
            )


def _joined(
    command: PrepareCommand,
    headers: Sequence[ParquetHeader],
    tables: Sequence[Mapping[int, str]],
    most: int,
) -> tuple[Numbering, str]:
    """Merges the files' tables, which map the numbers in the label column to class names.

    If the tables differ, classes are matched by name.
    """
    joined: dict[int, str] = {}
    for table in tables:
        for number, name in table.items():
            joined.setdefault(number, name)
    differing = [
        (header.path, table)
        for header, table in zip(headers, tables, strict=True)
        if any(joined[number] != name for number, name in table.items())
    ]
    most = max(most, *joined) if joined else most
    names = [joined.get(number, str(number)) for number in range(most + 1)]
    if not differing:
        return Numbering(tuple(names), named=False), ""
    if any(len(set(table.values())) < len(table) for table in tables):
        raise PoiseError(
            f"{shown(differing[0][0])}: numbers the classes otherwise than "
            f"{shown(headers[0].path)}, and two classes share a name, so that they cannot be "
            f"matched; without labels: `{command.using(label=NO_LABELS)}`"
        )
    return _matched(tables, differing)


def _matched(
    tables: Sequence[Mapping[int, str]],
    differing: Sequence[tuple[str, Mapping[int, str]]],
) -> tuple[Numbering, str]:
    """Numbers the classes by name, in the order in which the files first use these names."""
    order: dict[str, int] = {}
    for table in tables:
        for number in sorted(table):
            order.setdefault(table[number], len(order))
    first = next(table for table in tables if table)
    renumbered = tuple(_places(table or first, order) for table in tables)
    files = ", ".join(shown(path) for path, _ in differing[:3])
    return (
        Numbering(tuple(order), named=False, renumbered=renumbered),
        f"; {files} numbers them differently, so its labels are matched by name",
    )


def _places(table: Mapping[int, str], order: Mapping[str, int]) -> tuple[int, ...]:
    """Returns the label of each number 0, 1, 2, …, or ``NO_LABEL`` for a number without a name."""
    return tuple(order.get(table.get(number, ""), NO_LABEL) for number in range(max(table) + 1))
