"""A storage may fail for a while, and a lasting error is told at once."""

import errno
import logging
import os
import pickle

import pytest

from poise.config.errors import OutageError, PoiseError
from poise.config.locations import Location
from poise.config.outages import cannot_be_read, is_outage, patiently
from poise.config.storage import MissingFileError

S3 = Location.of("s3://bucket/shard.parquet")
DISK = Location.of("/shared/shard.parquet")


def broken(number: int = errno.EIO) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_storage_that_fails_for_a_while_costs_time_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pauses: list[float] = []
    failures = [broken(), PoiseError("s3://bucket: does not answer"), broken()]

    def work() -> None:
        if failures:
            raise failures.pop(0)

    with caplog.at_level(logging.WARNING):
        patiently(work, "storing it", 300, pause=pauses.append)
    assert pauses == [0.5, 1, 2]
    assert [each.getMessage().partition(" (")[0] for each in caplog.records] == [
        "storing it fails",
        "storing it is done, after 4 s of failures",
    ]


@pytest.mark.parametrize("patience_s", [0, 100])
def test_patience_ends(patience_s: float) -> None:
    pauses: list[float] = []

    def work() -> None:
        raise broken()

    with pytest.raises(OSError, match="Input/output"):
        patiently(work, "storing it", patience_s, pause=pauses.append)
    assert sum(pauses) == patience_s and max(pauses, default=0) <= 30


def test_a_bug_is_not_tried_again() -> None:
    pauses: list[float] = []
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: print(1 // 0), "storing it", 100, pause=pauses.append)
    assert not pauses


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (DISK, broken()),
        (DISK, broken(errno.ESTALE)),
        (S3, OSError("AWS Error NETWORK_CONNECTION during GetObject: curlCode: 7, refused")),
        (S3, OSError("AWS Error SLOW_DOWN during GetObject")),
        (S3, OSError("AWS Error UNKNOWN (HTTP status 503) during GetObject")),
    ],
)
def test_a_storage_that_fails_is_an_outage(place: Location, error: OSError) -> None:
    told = cannot_be_read(place, error, "copy the dataset again")
    assert is_outage(told) and str(told).startswith(f"{place}: ")
    assert "copy the dataset again" not in str(told), "the file may be in order"
    assert isinstance(pickle.loads(pickle.dumps(told)), OutageError)


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (DISK, broken(errno.ENOENT)),
        (DISK, broken(errno.EACCES)),
        (DISK, ValueError("no Parquet magic bytes")),
        (S3, OSError("AWS Error ACCESS_DENIED during GetObject")),
    ],
)
def test_a_file_that_is_missing_damaged_or_refused_is_no_outage(
    place: Location, error: Exception
) -> None:
    pauses: list[float] = []

    def read() -> None:
        raise cannot_be_read(place, error, "copy the dataset again")

    with pytest.raises(PoiseError):
        patiently(read, "reading it", 100, is_outage, pauses.append)
    assert not pauses
    assert not is_outage(MissingFileError("s3://bucket/a: no such file"))
