"""Decides which Parquet files belong together, by the names of the files.

In: a command whose source is a file, a folder or a glob. Out: the Parquet files of one split in one
folder, and their headers. Next: ``poise.data.sources.parquet``.
"""

import glob
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from poise.config.errors import PoiseError, one_line
from poise.config.locations import Location
from poise.data.parquet_file import parquet_file
from poise.data.sources.files import suffix
from poise.data.sources.options import PrepareCommand
from poise.data.sources.safe_names import LONGEST_ERROR, is_utf8, shown
from poise.data.sources.source_paths import (
    common_folder,
    is_remote,
    matching_files,
    parent_of,
    relative,
)
from poise.data.sources.splits import file_split
from poise.data.sources.walk import is_file, is_folder

SUFFIX = ".parquet"

_COMMANDS_SHOWN = 4


@dataclass(frozen=True)
class ParquetHeader:
    """Information about a Parquet file that can be read without its rows."""

    path: str
    schema: pa.Schema
    num_rows: int
    empty_columns: frozenset[str]
    """Leaf columns without any value, such as ``image.bytes``, according to the file's statistics.
    """


def glob_files(text: str) -> list[str]:
    """Returns the Parquet files that match a glob, in sorted order and without hidden files."""
    found = [path for path in matching_files(text) if suffix(path) == SUFFIX]
    return found if is_remote(text) else [path for path in found if is_file(path)]


def check_one_split(command: PrepareCommand, files: Sequence[str]) -> None:
    """Checks that all files belong to one split.

    If the source is a folder, all files must also be in one folder.

    Raises:
        PoiseError: there are several splits or folders; the error shows a command for each of them.
    """
    root = common_folder(files)
    splits = {path: file_split(relative(path, root)) for path in files}
    if len(set(splits.values())) > 1:
        groups = _grouped({path: split or "other" for path, split in splits.items()})
        raise PoiseError(
            f"{shown(command.source)}: holds several splits ({', '.join(groups)}); "
            f"prepare one: {_commands(command, root, groups)}"
        )
    groups = _grouped({path: relative(parent_of(path), root) for path in files})
    if len(groups) > 1 and is_folder(command.source):
        every = command.of(f"{glob.escape(root)}/**/*{SUFFIX}")
        raise PoiseError(
            f"{shown(command.source)}: holds Parquet files in {len(groups)} folders, which may be "
            f"different versions of the same images; prepare one: "
            f"{_commands(command, root, groups)}; or all together: `{every}`"
        )


def read_header(path: str) -> ParquetHeader:
    """Reads a file's schema, number of rows and statistics.

    Raises:
        PoiseError: the file is not a readable Parquet file, its name is not UTF-8, or two of its
            columns have the same name.
    """
    if not is_utf8(path):
        raise PoiseError(f"{shown(path)}: this file's name is not UTF-8; rename it")
    try:
        with parquet_file(Location.of(path)) as opened:
            schema, metadata = opened.schema_arrow, opened.metadata
            empty = _empty_columns(metadata)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise PoiseError(
            f"{shown(path)}: not a readable Parquet file: {one_line(error, LONGEST_ERROR)}"
        ) from None
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise PoiseError(f"{shown(path)}: has two columns called '{twice[0]}'; rename one")
    return ParquetHeader(path, schema, metadata.num_rows, empty)


def read_columns(path: str, columns: Sequence[str]) -> pa.Table:
    """Reads whole columns of a file. Columns that do not exist are left out.

    Raises:
        PoiseError: the file is damaged.
    """
    try:
        with parquet_file(Location.of(path)) as opened:
            return opened.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise PoiseError(
            f"{shown(path)}: cannot be read: {one_line(error, LONGEST_ERROR)}"
        ) from None


def _empty_columns(metadata: pq.FileMetaData) -> frozenset[str]:
    """Finds the leaf columns in which all values are missing."""
    empty: set[str] | None = None
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        here = set()
        for column in map(group.column, range(group.num_columns)):
            counts = column.statistics
            if counts and counts.has_null_count and counts.null_count == column.num_values:
                here.add(column.path_in_schema)
        empty = here if empty is None else empty & here
    return frozenset(empty or ())


def _grouped(names: dict[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for path, name in names.items():
        groups[name].append(path)
    return dict(sorted(groups.items()))


def _commands(command: PrepareCommand, root: str, groups: dict[str, list[str]]) -> str:
    """Joins the commands that prepare each group of files alone, for an error; at most four."""
    commands = []
    for name, files in list(groups.items())[:_COMMANDS_SHOWN]:
        source = _naming(root, name, files)
        tail = name.replace(os.sep, "-")
        commands.append(
            f"`{command.of(source, tail)}`"
            if source
            else f"the files such as '{shown(files[0])}' from a folder of their own"
        )
    more = f" (and {len(groups) - _COMMANDS_SHOWN} more)" * (len(groups) > _COMMANDS_SHOWN)
    return " or ".join(commands) + more


def _naming(root: str, name: str, files: list[str]) -> str | None:
    """Returns a path or glob that matches exactly these files; None if no such glob is found."""
    folder, top = common_folder(files), glob.escape(root)
    if len(files) == 1:
        return files[0]
    inside = glob.escape(folder)
    patterns = []
    for word in (name, name.capitalize(), name.upper()):
        patterns += [f"{inside}/{word}*{SUFFIX}", f"{inside}/*{word}*{SUFFIX}"]
        patterns += [f"{top}/**/*{word}*/*{SUFFIX}", f"{top}/**/*{word}*{SUFFIX}"]
    if glob_files(f"{inside}/**/*{SUFFIX}") == sorted(files):
        return folder
    return next((each for each in patterns if glob_files(each) == sorted(files)), None)
