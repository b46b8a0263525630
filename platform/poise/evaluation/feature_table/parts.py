"""Stores a table of features in parts on disk, and joins the parts to one Parquet file.

In: rows for consecutive positions of a collection. Out: one Parquet file. Next:
``poise.evaluation.feature_table.embed``.

The folder ``OUT.parquet.partial`` contains the parts until the file ``OUT.parquet`` is complete. A
part appears only when it is completely written. So a job that was killed continues after its last
part.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from poise.config.errors import PoiseError, one_line
from poise.config.files import read_json, write_json

METADATA_KEY = b"poise"
"""Key of Poise's entry in the metadata of the Parquet file. The value is JSON."""

_SKIPPED_KEY = b"poise.skipped"
_REQUEST_FILE, _LOCK_FILE = "request.json", ".lock"


@dataclass(frozen=True)
class Skipped:
    """Image that has no row in the table of features, and the reason why it was skipped."""

    path: str
    reason: str


@dataclass(frozen=True)
class Parts:
    """Part files of one unfinished table of features. Each contains the rows of some images."""

    out: Path

    @property
    def folder(self) -> Path:
        """Folder of the part files."""
        return self.out.with_name(f"{self.out.name}.partial")

    @property
    def skipped_file(self) -> Path:
        """File that lists the images without a row, with one JSON object per line."""
        return self.out.with_name(f"{self.out.stem}.skipped.jsonl")

    @contextmanager
    def claimed(self, request: Mapping[str, Any]) -> Iterator[None]:
        """Locks the folder of the parts during the ``with`` block.

        Args:
            request: facts that determine the rows, as JSON values.

        Raises:
            PoiseError: another process writes the parts, or the folder contains parts of another
                request.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / _LOCK_FILE).open("w")
        except OSError as error:
            raise PoiseError(
                f"{self.out}: cannot be written ({error.strerror or error}); name another file"
            ) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise PoiseError(
                    f"{self.out}: another process is writing it; wait for it"
                ) from None
            self._check_same(dict(request))
            yield

    def _check_same(self, request: dict[str, Any]) -> None:
        path = self.folder / _REQUEST_FILE
        if not path.exists():
            write_json(path, request)
            return
        changed = first_change(read_json(path), request)
        if changed:
            raise PoiseError(
                f"{self.folder}: holds parts of another job ({changed}); delete the folder, or "
                f"name another file than {self.out}"
            )

    def covered(self) -> int:
        """Returns how many images the part files contain, from position 0 to the first gap."""
        position = 0
        for start, stop, _ in self._found():
            if start > position:
                break
            position = max(position, stop)
        return position

    def add(self, start: int, stop: int, rows: pa.Table, skipped: list[Skipped]) -> None:
        """Writes a part for the positions from ``start`` to ``stop`` − 1.

        Raises:
            OSError: the disk is full, or the folder is not writable.
        """
        described = json.dumps([[each.path, each.reason] for each in skipped])
        rows = rows.replace_schema_metadata({_SKIPPED_KEY: described.encode()})
        path = self.folder / f"part-{start:012d}-{stop:012d}.parquet"
        partial = self.folder / f".{uuid4().hex}.partial"
        pq.write_table(rows, partial)
        partial.replace(path)

    def join(self, metadata: Mapping[str, Any]) -> tuple[int, list[Skipped]]:
        """Joins the parts to the final file, reading one part at a time, and deletes the parts.

        Args:
            metadata: facts to store under ``METADATA_KEY``. The numbers of rows and of skipped
                images are added.

        Returns:
            Number of rows, and the images without a row.
        """
        skipped = [each for _, _, path in self._found() for each in _skipped_in(path)]
        rows = sum(pq.read_metadata(path).num_rows for _, _, path in self._found())
        facts = {**metadata, "num_images": rows, "num_skipped": len(skipped)}
        schema = pq.read_schema(self._found()[0][2])
        described = schema.with_metadata({METADATA_KEY: json.dumps(facts).encode()})
        partial = self.folder / ".joined.parquet"
        if rows:
            with pq.ParquetWriter(partial, described) as writer:
                for _, _, path in self._found():
                    table = pq.read_table(path)
                    writer.write_table(table.replace_schema_metadata(described.metadata))
            lines = (json.dumps({"path": each.path, "reason": each.reason}) for each in skipped)
            self.skipped_file.unlink(missing_ok=True)
            if skipped:
                self.skipped_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
            partial.replace(self.out)
        shutil.rmtree(self.folder)
        return rows, skipped

    def _found(self) -> list[tuple[int, int, Path]]:
        paths = sorted(self.folder.glob("part-*.parquet"))
        return [(*_positions(path), path) for path in paths]


def first_change(held: Mapping[str, Any], request: Mapping[str, Any]) -> str | None:
    """Says which fact differs first from those of an earlier job. None if all are the same.

    Of a fact with many entries, such as the checksums of files, only the first entry is named.
    """
    for name, value in request.items():
        before = held.get(name)
        if before == value:
            continue
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            changed = (key for key in {**value, **before} if before.get(key) != value.get(key))
            return f"{name}: another {next(changed)}"
        return f"{name}: {before}, and now {value}"
    return None


def read_facts(out: Path) -> dict[str, Any]:
    """Reads Poise's metadata of a finished file. The result is empty if another program wrote it.

    Raises:
        PoiseError: the file is not a Parquet file.
    """
    try:
        metadata = pq.read_schema(out).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise PoiseError(
            f"{out}: exists, and is no Parquet file ({one_line(error)}); name another file"
        ) from None
    found = json.loads(metadata.get(METADATA_KEY, b"{}"))
    return found if isinstance(found, dict) else {}


def _positions(path: Path) -> tuple[int, int]:
    _, start, stop = path.stem.split("-")
    return int(start), int(stop)


def _skipped_in(path: Path) -> list[Skipped]:
    metadata = pq.read_schema(path).metadata or {}
    return [Skipped(*each) for each in json.loads(metadata.get(_SKIPPED_KEY, b"[]"))]
