"""A busy database and a full disk, made for real and for a moment."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from poise.tracking.store import Store


@contextmanager
def locked(store: Store) -> Iterator[None]:
    """Someone holds the database's write lock, as a backup or a stuck process would."""
    database = sqlite3.connect(store.uri.removeprefix("sqlite:///"), isolation_level=None)
    with closing(database):
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


@contextmanager
def limited_file_size(num_bytes: int) -> Iterator[None]:
    """Files may not grow beyond this size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
