"""How a step's encoded images travel through Ray Data: one Arrow row.

In: a step's encoded images, or why there are none. Out: a table of one row, and back. Next:
``stream`` hands what it reads to the training worker. Nothing here needs PyTorch, which takes
seconds to import: the tasks that read are many.
"""

import numpy as np
import pyarrow as pa

from poise.config.errors import PoiseError
from poise.data.dataset import EncodedBatch

_FAILURE = "failure"


def failure_row(message: str) -> pa.Table:
    """A step that failed as failures are expected to."""
    return pa.table({_FAILURE: [message]})


def encoded_row(epoch: int, encoded: EncodedBatch) -> pa.Table:
    """A step's encoded images."""
    return pa.table(
        {
            "epoch": [epoch],
            "images": pa.array([encoded.images], pa.large_list(pa.large_binary())),
            "labels": pa.array([encoded.labels]),
            "sample_ids": pa.array([encoded.sample_ids]),
        }
    )


def read_encoded(row: pa.Table) -> tuple[int, EncodedBatch]:
    """The epoch and the images of a row of ``encoded_row``.

    Raises:
        PoiseError: the row is a failure's.
    """
    raise_failure(row)
    images, labels, ids = (row[name][0].values for name in ("images", "labels", "sample_ids"))
    encoded = EncodedBatch(images.to_pylist(), np.array(labels), np.array(ids))
    return row["epoch"][0].as_py(), encoded


def raise_failure(row: pa.Table) -> None:
    """Raises the PoiseError of a row of ``failure_row``; any other row passes."""
    if _FAILURE in row.column_names and row[_FAILURE][0].is_valid:
        raise PoiseError(row[_FAILURE][0].as_py())
