"""Finds the label column of Parquet files, and the names of its classes.

In: the files' headers and the option ``--label``. Out: ``Labels``, with the same numbers in all
files. Next: ``poise.data.sources.parquet`` reads the rows.

A column is chosen if Hugging Face's metadata declare it as class labels. A column is also chosen if
its name is in ``LABEL_NAMES`` and its values look like classes. In all other cases the user must
give ``--label COLUMN``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from poise.config.errors import PoiseError
from poise.config.wording import listed
from poise.data.sources.options import FOLDER_LABELS, NO_LABELS, PrepareCommand
from poise.data.sources.parquet_classes import (
    MOST_CLASSES,
    Numbering,
    declared_names,
    number_classes,
    one_to_one,
)
from poise.data.sources.parquet_files import ParquetHeader
from poise.data.sources.parquet_values import (
    ColumnValues,
    Kind,
    UnusableColumnError,
    doubt,
    kind_of,
    read_values,
)
from poise.data.sources.safe_names import check_class_names, shown

LABEL_NAMES = (
    *("label", "labels", "fine_label", "coarse_label", "class_id", "class_label", "class"),
    *("target", "cls", "y", "class_name", "label_name", "category"),
)
"""Usual names of label columns, in order of preference, in upper or lower case."""


@dataclass(frozen=True)
class Labels:
    """Label column of a source, and the numbering of its classes."""

    column: str | None
    numbering: Numbering
    note: str


@dataclass(frozen=True)
class _Candidate:
    """Column that may contain the labels."""

    column: str
    values: list[ColumnValues]
    fault: str | None = None  # reason why it cannot hold labels
    doubt: str | None = None  # reason why it may not be the label column

    @property
    def kinds(self) -> set[Kind]:
        """Kinds of values in the column over all files: numbers, names or both."""
        return {each.kind for each in self.values if each.kind != "nothing"}


_NO_LABELS = Numbering((), named=False)


def find_labels(command: PrepareCommand, headers: Sequence[ParquetHeader], image: str) -> Labels:
    """Finds the label column, and gives its classes the same numbers in every file.

    Args:
        command: command that the user typed, for ``--label`` and for errors.
        headers: headers of all files that have rows.
        image: column of the images, which cannot contain the labels.

    Raises:
        PoiseError: no column or several columns may contain the labels, or files contradict each
            other.
    """
    asked = command.options.label
    if asked == NO_LABELS:
        return Labels(None, _NO_LABELS, "no labels, as asked")
    if asked is not None:
        _check_column(command, asked, headers, image)
        return _labelled(command, headers, _candidate(asked, headers))
    names = declared_names(headers)
    columns = [name for name in list(names) or _named_like_labels(headers) if name != image]
    if not columns:
        return Labels(None, _NO_LABELS, f"no labels: {_none_found(headers[0].schema)}")
    candidates = [_candidate(column, headers) for column in columns]
    for candidate in candidates:
        _check_same_kind(command, headers, candidate)
    good = [each for each in candidates if not each.fault and (names or not each.doubt)]
    if not good:
        raise _nothing_certain(command, candidates)
    good = [each for each in good if each.kinds] or good
    first = next((each for each in good if each.kinds == {"numbers"}), good[0])
    rivals = [each.column for each in good if not one_to_one(headers, first.column, each.column)]
    if rivals:
        both = [f"`{command.using(label=column)}`" for column in (first.column, *rivals)]
        raise PoiseError(
            f"{shown(command.source)}: columns {listed([first.column, *rivals])} may all be the "
            f"labels; choose one: {' or '.join(both)}"
        )
    return _labelled(command, headers, first)


def _labelled(
    command: PrepareCommand, headers: Sequence[ParquetHeader], candidate: _Candidate
) -> Labels:
    _check_same_kind(command, headers, candidate)
    column = candidate.column
    if candidate.fault:
        raise PoiseError(
            f"{shown(command.source)}: column '{shown(column)}' {candidate.fault}; labels are "
            f"whole numbers or names; without labels: `{command.using(label=NO_LABELS)}`"
        )
    if not candidate.kinds:
        return Labels(None, _NO_LABELS, f"no labels: column '{column}' has no value")
    named_by = _name_column(column, headers) if candidate.kinds == {"numbers"} else None
    numbering, origin = number_classes(command, headers, column, candidate.values, named_by)
    check_class_names(command.source, numbering.classes)
    return Labels(column, numbering, f"labels from column '{shown(column)}', {origin}")


def _name_column(column: str, headers: Sequence[ParquetHeader]) -> str | None:
    """Returns another column with the names of a label column's classes, or None."""
    schema = headers[0].schema
    likely = [name for name in _named_like_labels(headers) if name in schema.names]
    texts = [name for name in likely if kind_of(schema.field(name).type) == "names"]
    others = (name for name in texts if name != column and one_to_one(headers, column, name))
    return next(others, None)


def _named_like_labels(headers: Sequence[ParquetHeader]) -> list[str]:
    names = dict.fromkeys(name for header in headers for name in header.schema.names)
    return [name for likely in LABEL_NAMES for name in names if name.casefold() == likely]


def _candidate(column: str, headers: Sequence[ParquetHeader]) -> _Candidate:
    without = [header.path for header in headers if column not in header.schema.names]
    if without:
        return _Candidate(column, [], fault=f"is missing in {shown(without[0])}")
    try:
        values = [read_values(header.path, column) for header in headers]
    except UnusableColumnError as error:
        return _Candidate(column, [], fault=str(error))
    least = min((v for each in values for v in each.counts if isinstance(v, int)), default=0)
    if least < 0:
        return _Candidate(column, values, fault=f"holds {least}; −1 alone stands for 'no label'")
    most = max((each.most for each in values), default=0)
    if most >= MOST_CLASSES:
        return _Candidate(column, values, fault=f"holds {most}, which is no class number")
    schema = headers[0].schema
    if kind_of(schema.field(column).type) is None:
        why = f"holds {schema.field(column).type}"
        return _Candidate(column, values, doubt=why)
    beside_x = next((name for name in schema.names if name.casefold() == "x"), None)
    if column.casefold() == "y" and beside_x and _is_numeric(schema.field(beside_x).type):
        return _Candidate(column, values, doubt=f"stands beside '{beside_x}', as coordinates do")
    return _Candidate(column, values, doubt=doubt(values))


def _is_numeric(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(is_kind(type_) for is_kind in kinds)


def _check_column(
    command: PrepareCommand, column: str, headers: Sequence[ParquetHeader], image: str
) -> None:
    if column == image:
        raise PoiseError(f"--label {column}: this column holds the images; name another")
    if column == FOLDER_LABELS and column not in headers[0].schema.names:
        raise PoiseError(
            f"--label {column}: {shown(command.source)} holds Parquet files, whose labels are a "
            f"column ({listed(headers[0].schema.names)})"
        )
    for header in headers:
        if column not in header.schema.names:
            raise PoiseError(
                f"--label {column}: {shown(header.path)} has no such column "
                f"(it has {listed(header.schema.names)}); without labels: `--label {NO_LABELS}`"
            )


def _check_same_kind(
    command: PrepareCommand, headers: Sequence[ParquetHeader], candidate: _Candidate
) -> None:
    """Checks that the column does not contain numbers in one file and names in another."""
    first: dict[str, str] = {}
    for header, values in zip(headers, candidate.values, strict=False):
        first.setdefault(values.kind, f"{values.kind} ({values.type}) in {shown(header.path)}")
    first.pop("nothing", None)
    if len(first) > 1:
        raise PoiseError(
            f"{shown(command.source)}: column '{shown(candidate.column)}' holds "
            f"{listed(first.values())}; write one type in all files, or prepare without labels: "
            f"`{command.using(label=NO_LABELS)}`"
        )


def _nothing_certain(command: PrepareCommand, candidates: list[_Candidate]) -> PoiseError:
    reasons = [f"'{shown(each.column)}' {each.fault or each.doubt}" for each in candidates]
    ways = [f"`{command.using(label=each.column)}`" for each in candidates if not each.fault]
    ways.append(f"without labels: `{command.using(label=NO_LABELS)}`")
    return PoiseError(
        f"{shown(command.source)}: no column is certain to hold the labels ({listed(reasons)}); "
        f"choose: {' or '.join(ways)}"
    )


def _none_found(schema: pa.Schema) -> str:
    return (
        f"no column is called {listed(LABEL_NAMES[:3], 'or')} or the like; --label COLUMN names "
        f"one of {listed(schema.names)}"
    )
