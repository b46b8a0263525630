"""Reads the lines of a text file: plain or gzipped, in UTF-8 or UTF-16.

In: a path. Out: lines. Next: ``diagnostics/logs/reading/opening.py``.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from poise.config.errors import PoiseError

MAX_LINE = 1 << 20
"""Largest number of characters in a line."""

_BEGINNING = 4096
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_BINARY = {
    b"SQLite format 3\0": "is a database; name a run in it: --store sqlite:////PATH runs:/RUN_ID",
    b"PK\x03\x04": "is a zip archive or a checkpoint; unpack it and name the log in it",
    b"\x89HDF": "is an HDF5 file; export its metrics as CSV",
    b"PAR1": "is a Parquet file; export it as CSV",
}


def read_lines(path: Path, notes: list[str]) -> Iterator[str]:
    """Yields the lines of a text file, including line ends.

    Args:
        path: path of the file. A gzipped file is decompressed while reading.
        notes: list to which a sentence is appended if a gzipped file is incomplete.

    Raises:
        PoiseError: the file cannot be read, is not text, or contains a line that is too long.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if packed:
                with gzip.open(file) as unpacked:
                    yield from _decoded(path, unpacked)
            else:
                yield from _decoded(path, file)
    except EOFError:
        notes.append("the gzipped file is cut off: its end is missing")
    except (gzip.BadGzipFile, zlib.error) as error:
        raise PoiseError(f"{path}: the gzipped file is damaged: {error}") from None
    except OSError as error:
        raise PoiseError(f"{path}: cannot be read: {error.strerror or error}") from None


def _decoded(path: Path, stream: "io.BufferedReader | gzip.GzipFile") -> Iterator[str]:
    beginning = stream.peek(_BEGINNING)  # a read would fail if the file is cut off before that
    encoding = _ENCODINGS.get(beginning[:2], "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in beginning:
        is_known = (advice for magic, advice in _BINARY.items() if beginning.startswith(magic))
        reason = next(is_known, "is not a text file; name a log of JSON lines or CSV")
        raise PoiseError(f"{path}: {reason}")
    with io.TextIOWrapper(stream, encoding, errors="replace", newline="") as text:
        while line := text.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise PoiseError(
                    f"{path}: has a line of more than {MAX_LINE} characters, so it is not a log "
                    "with one row per line"
                )
            yield line
