"""Turns a step's encoded images into one Arrow row, which travels through Ray Data, and back.

In: a step's encoded images, or the reason why there are none. Out: a table of one row, or the
images of such a row. Next: ``poise.data.stream.stream`` hands them to the training worker. Nothing
here needs PyTorch, which takes seconds to import; the tasks that read are many.
"""

import json

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.data.dataset import EncodedBatch, PackedImages

_FAILURE = "failure"


def failure_row(message: str) -> pa.Table:
    """The row of a step that ended with an expected error."""
    return pa.table({_FAILURE: [message]})


def encoded_row(epoch: int, encoded: EncodedBatch) -> pa.Table:
    """The row of a step's encoded images."""
    images = PackedImages.of(encoded.images)
    return pa.table(
        {
            "epoch": [epoch],
            "images": one_binary(images.data),
            "ends": pa.array([images.ends]),
            "labels": pa.array([encoded.labels]),
            "sample_ids": pa.array([encoded.sample_ids]),
            "ranges": [json.dumps(dict(encoded.ranges))],
        }
    )


def read_encoded(row: pa.Table) -> tuple[int, EncodedBatch]:
    """The epoch and the images of a row that ``encoded_row`` made.

    Raises:
        PoiseError: the row stands for a failure.
    """
    raise_failure(row)
    data = np.frombuffer(row["images"][0].as_buffer(), np.uint8)  # in Ray's memory: not copied
    ends, labels, ids = (np.array(row[name][0].values) for name in ("ends", "labels", "sample_ids"))
    ranges = {
        name: (low, high) for name, (low, high) in json.loads(row["ranges"][0].as_py()).items()
    }
    return row["epoch"][0].as_py(), EncodedBatch(PackedImages(data, ends), labels, ids, ranges)


def one_binary(array: NDArray[np.generic]) -> pa.Array:
    """A column of one row that holds an array's memory; nothing is copied."""
    ends = pa.py_buffer(np.array([0, array.nbytes], dtype=np.int64))
    values = pa.py_buffer(np.ascontiguousarray(array))
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, ends, values])


def raise_failure(row: pa.Table) -> None:
    """Raises the error of a row that ``failure_row`` made; any other row passes."""
    if _FAILURE in row.column_names and row[_FAILURE][0].is_valid:
        raise PoiseError(row[_FAILURE][0].as_py())
