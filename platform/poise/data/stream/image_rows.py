"""Converts a step's encoded images to one Arrow row for Ray Data, and back.

In: a step's encoded images, or an error message. Out: a table of one row, or the images of such a
row. Next: ``poise.data.stream.stream``, which gives the images to the training worker. This module
does not import PyTorch, because the import takes seconds and many tasks read images.
"""

import json

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.data.dataset import EncodedBatch, PackedImages

_FAILURE = "failure"

READ_S, CUT_S = "read_s", "cut_s"
"""Names of the columns with the times for reading images and for cutting views, in seconds."""


def failure_row(message: str) -> pa.Table:
    """Makes the Arrow row for a step that failed with an expected error."""
    return pa.table({_FAILURE: [message]})


def encoded_row(epoch: int, encoded: EncodedBatch, read_s: float = 0.0) -> pa.Table:
    """Makes the Arrow row of a step's encoded images, with the time in seconds for reading them."""
    images = PackedImages.of(encoded.images)
    return pa.table(
        {
            "epoch": [epoch],
            READ_S: [read_s],
            "images": one_binary(images.data),
            "ends": pa.array([images.ends]),
            "labels": pa.array([encoded.labels]),
            "sample_ids": pa.array([encoded.sample_ids]),
            "ranges": [json.dumps(dict(encoded.ranges))],
        }
    )


def read_encoded(row: pa.Table) -> tuple[int, EncodedBatch]:
    """Reads the epoch and the images of a row that ``encoded_row`` made.

    Raises:
        PoiseError: the row contains an error.
    """
    raise_failure(row)
    data = np.frombuffer(row["images"][0].as_buffer(), np.uint8)  # Ray's memory, without a copy
    ends, labels, ids = (np.array(row[name][0].values) for name in ("ends", "labels", "sample_ids"))
    ranges = {
        name: (low, high) for name, (low, high) in json.loads(row["ranges"][0].as_py()).items()
    }
    return row["epoch"][0].as_py(), EncodedBatch(PackedImages(data, ends), labels, ids, ranges)


def seconds_of(row: pa.Table, column: str) -> float:
    """Returns the time in seconds that is stored in a column of a row."""
    return float(row[column][0].as_py())


def one_binary(array: NDArray[np.generic]) -> pa.Array:
    """Makes a column of one row from an array's memory, without a copy."""
    ends = pa.py_buffer(np.array([0, array.nbytes], dtype=np.int64))
    values = pa.py_buffer(np.ascontiguousarray(array))
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, ends, values])


def raise_failure(row: pa.Table) -> None:
    """Raises the error of a row that ``failure_row`` made. Does nothing for other rows."""
    if _FAILURE in row.column_names and row[_FAILURE][0].is_valid:
        raise PoiseError(row[_FAILURE][0].as_py())
