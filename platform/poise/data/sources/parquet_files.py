"""Parquet files by name: which of them belong together.

In: a command whose source is a file, a folder or a glob. Out: the files of one split in one folder,
with their headers. Next: ``poise.data.sources.parquet``.
"""

import glob
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from poise.config.errors import PoiseError, one_line
from poise.data.sources.files import suffix
from poise.data.sources.names import LONGEST_ERROR, is_utf8, shown
from poise.data.sources.options import PrepareCommand
from poise.data.sources.splits import file_split
from poise.data.sources.walk import is_file, is_folder

SUFFIX = ".parquet"

_COMMANDS_SHOWN = 4


@dataclass(frozen=True)
class ParquetHeader:
    """What a Parquet file says before its rows are read."""

    path: str
    schema: pa.Schema
    num_rows: int
    empty_columns: frozenset[str]
    """Leaf columns without any value, such as ``image.bytes``; known from their statistics."""


def glob_files(text: str) -> list[str]:
    """Returns the Parquet files that a glob names, sorted and without hidden ones."""
    found = glob.glob(text, recursive=True)  # noqa: PTH207  Path.glob finds hidden files too
    return sorted(str(Path(path)) for path in found if suffix(path) == SUFFIX and is_file(path))


def root_of(files: Sequence[str]) -> str:
    """Returns the folder that holds all files."""
    return os.path.commonpath([str(Path(path).parent) for path in files]) or "."


def check_one_split(command: PrepareCommand, files: Sequence[str]) -> None:
    """Checks that the files are of one split, and in one folder where a folder was named.

    Raises:
        PoiseError: there are several; the line has a command for each.
    """
    root = root_of(files)
    splits = {path: file_split(os.path.relpath(path, root)) for path in files}
    if len(set(splits.values())) > 1:
        groups = _grouped({path: split or "other" for path, split in splits.items()})
        raise PoiseError(
            f"{shown(command.source)}: holds several splits ({', '.join(groups)}); "
            f"prepare one: {_commands(command, root, groups)}"
        )
    groups = _grouped({path: os.path.relpath(Path(path).parent, root) for path in files})
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
        PoiseError: it is no readable Parquet file, its name is not UTF-8, or two of its columns
            share a name.
    """
    if not is_utf8(path):
        raise PoiseError(f"{shown(path)}: this file's name is not UTF-8; rename it")
    try:
        with pq.ParquetFile(path) as opened:
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
    """Reads whole columns of a file; a column that it lacks is left out.

    Raises:
        PoiseError: the file is damaged.
    """
    try:
        with pq.ParquetFile(path) as opened:
            return opened.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise PoiseError(
            f"{shown(path)}: cannot be read: {one_line(error, LONGEST_ERROR)}"
        ) from None


def _empty_columns(metadata: pq.FileMetaData) -> frozenset[str]:
    """Names the leaf columns whose every value is missing in every row group."""
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
    """Joins one command for every group, the first four at most."""
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
    """Returns a path or glob that names these files and no other."""
    folder, top = root_of(files), glob.escape(root)
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
