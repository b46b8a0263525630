"""Finds the column of Parquet files that contains the images' bytes.

In: the files' headers. Out: the name of the column, or an error that says what the files contain
instead. Next: ``poise.data.sources.parquet``.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.wording import listed
from poise.data.parquet_file import parquet_file
from poise.data.sources.files import is_image_name
from poise.data.sources.options import PrepareCommand
from poise.data.sources.parquet_files import ParquetHeader
from poise.data.sources.safe_names import shown
from poise.data.sources.source_paths import joined, parent_of
from poise.data.sources.walk import is_file, is_folder

IMAGE_NAMES = ("image", "img", "images", "image_bytes", "bytes", "jpg", "jpeg", "png", "webp")
"""Usual names of image columns, in upper or lower case. ``image`` has priority over all others."""

_LONGEST_VALUE = 60


def find_image_column(command: PrepareCommand, headers: Sequence[ParquetHeader]) -> str:
    """Finds the column of image bytes, which must have the same name in every file.

    Raises:
        PoiseError: no column or several columns may contain the bytes, or a file contains paths
            instead of bytes.
    """
    first = headers[0]
    found = [field.name for field in first.schema if holds_bytes(field.type)]
    if not found:
        raise _no_bytes(command, first)
    column = _one_of(command, found)
    for header in headers:
        if column not in header.schema.names:
            raise PoiseError(
                f"{shown(header.path)}: has no column '{shown(column)}', unlike "
                f"{shown(first.path)}; prepare the files apart"
            )
        if not holds_bytes(header.schema.field(column).type):
            raise _no_bytes(command, header, column)
        if {column, f"{column}.bytes"} & header.empty_columns:
            raise _no_bytes(command, header, column)
    return column


def holds_bytes(type_: pa.DataType) -> bool:
    """Returns True if a column of this type contains bytes, alone or next to a path."""
    if pa.types.is_dictionary(type_):
        return holds_bytes(type_.value_type)
    if pa.types.is_struct(type_):
        return type_.get_field_index("bytes") >= 0 and holds_bytes(type_.field("bytes").type)
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(is_kind(type_) for is_kind in kinds) or pa.types.is_fixed_size_binary(type_)


def bytes_of(column: pa.Array) -> pa.Array:
    """Returns a column's bytes as Arrow's large_binary. Rows without bytes are null."""
    if pa.types.is_struct(column.type):
        return bytes_of(pc.struct_field(column, "bytes"))
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_fixed_size_binary(column.type):
        column = column.cast(pa.binary())
    return column.cast(pa.large_binary())


def path_of(column: pa.Array, row: int) -> str | None:
    """Returns the path in a row, which may have bytes too; None if the row has no path."""
    try:
        value = column[row].as_py()
    except UnicodeDecodeError:
        return None
    path = value.get("path") if isinstance(value, dict) else value
    return path if isinstance(path, str) else None


def _one_of(command: PrepareCommand, found: list[str]) -> str:
    """Chooses a column of bytes: `image`, or else the only column with a usual name."""
    named = [name for name in found if name.casefold() in IMAGE_NAMES] or found
    exact = [name for name in found if name.casefold() == "image"] or named
    if len(exact) > 1:
        raise PoiseError(
            f"{shown(command.source)}: columns {listed(named)} all hold bytes; rename the one with "
            "the images to 'image'"
        )
    return exact[0]


def _no_bytes(
    command: PrepareCommand, header: ParquetHeader, column: str | None = None
) -> PoiseError:
    """Makes the error for a file without image bytes: what it contains instead, and the fix."""
    likely = [column] if column else [*_likely(header.schema), *header.schema.names]
    for name in likely:
        text = _first_text(header, name)
        if text is not None and (column or is_image_name(text)):
            return PoiseError(
                f"{shown(header.path)}: column '{shown(name)}' holds text such as "
                f"'{shown(text[:_LONGEST_VALUE])}', not image bytes; {_advice(command, text)}"
            )
    if column:
        return PoiseError(
            f"{shown(header.path)}: column '{shown(column)}' holds no image bytes (type "
            f"{header.schema.field(column).type}); write each image file's bytes into it"
        )
    types = listed(f"{shown(field.name)} ({field.type})" for field in header.schema)
    return PoiseError(
        f"{shown(header.path)}: no column holds image bytes; it has {types or 'no column'}"
    )


def _likely(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if name.casefold() in IMAGE_NAMES]


def _first_text(header: ParquetHeader, column: str) -> str | None:
    """Returns the first text of a column, or the first ``path`` next to its bytes."""
    try:
        with parquet_file(Location.of(header.path)) as opened:
            batch = next(opened.iter_batches(1, columns=[column]), None)
        return path_of(batch.column(column), 0) if batch and batch.num_rows else None
    except (pa.ArrowException, OSError, KeyError):
        return None


def _advice(command: PrepareCommand, text: str) -> str:
    if text.startswith(("http://", "https://", "s3://", "gs://")):
        return "download the images, and prepare the folder that holds them"
    base = command.source if is_folder(command.source) else parent_of(command.source)
    if is_file(joined(base, text)):
        folder = parent_of(joined(base, text))
        images = command.of(folder).using(format="images", label=None)
        return f"if these are paths, prepare the image files: `{images}`"
    return (
        "if these are paths, prepare the folder that holds the image files (one folder for each "
        "class), or write the files' bytes into the column"
    )
