"""Converts a step's views to one Arrow row for Ray Data, and back.

In: a step's views. Out: a table of one row, or the views of such a row. Next:
``poise.data.stream.stream``, which gives the views to the training worker. The row uses the memory
of the views without a copy.
"""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from poise.data.batch import ViewBatch
from poise.data.stream.image_rows import one_binary, raise_failure

_DTYPES = {field.name: np.int64 for field in fields(ViewBatch)} | {
    "global_views": np.uint8,
    "local_views": np.uint8,
    "global_photometry": np.float32,
    "local_photometry": np.float32,
}


def views_row(batch: ViewBatch, seconds: Mapping[str, float] = MappingProxyType({})) -> pa.Table:
    """Makes a row of a step's views. If the batch has no labels, the row has no label column.

    Args:
        batch: views of the step.
        seconds: time in seconds that each stage took, by the name of its column.
    """
    columns: dict[str, pa.Array] = {name: pa.array([took]) for name, took in seconds.items()}
    for name, value in vars(batch).items():
        if value is None:
            continue
        array = _channels_last(value).numpy()
        columns[name] = one_binary(array)
        columns[f"{name}_shape"] = pa.array([array.shape], pa.list_(pa.int64()))
    return pa.table(columns)


def read_views(row: pa.Table) -> ViewBatch:
    """Reads the views of a row that ``views_row`` made.

    Raises:
        PoiseError: the row contains an error.
    """
    raise_failure(row)
    tensors = {}
    for name, dtype in _DTYPES.items():
        if name not in row.column_names:
            continue
        flat = np.frombuffer(row[name][0].as_buffer(), dtype)
        array = flat.reshape(row[f"{name}_shape"][0].as_py()).copy()  # Ray's memory is read-only
        tensors[name] = _channels_first(torch.from_numpy(array))
    return ViewBatch(**tensors)


def _channels_last(value: Tensor) -> Tensor:
    return value.permute(0, 1, 3, 4, 2) if value.ndim == 5 else value


def _channels_first(value: Tensor) -> Tensor:
    return value.permute(0, 1, 4, 2, 3) if value.ndim == 5 else value
