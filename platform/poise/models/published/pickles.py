"""Loads files of ``torch.save`` without running code from them.

In: a file. Out: its content: tensors, and the plain values that training programs store with
tensors. Next: ``poise.models.published.files``.
"""

import argparse
import pathlib
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poise.config.errors import PoiseError

_RECONSTRUCT: Any = np.zeros(0).__reduce__()[0]
_SCALAR: Any = np.float64(0).__reduce__()[0]
_NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
"""Names of one NumPy module, before and since NumPy 2."""

_PLAIN: list[Any] = [
    argparse.Namespace,  # the command line, in older files
    pathlib.PosixPath,
    np.ndarray,
    np.dtype,
    *{type(np.dtype(each)) for each in "?bhilqBHILQefd"},
    *((_RECONSTRUCT, f"{module}._reconstruct") for module in _NUMPY_MODULES),
    *((_SCALAR, f"{module}.scalar") for module in _NUMPY_MODULES),
]
"""Types of plain values, such as the best accuracy so far. Creating such a value runs no code from
the file.
"""


def load_pickled(path: Path) -> Any:
    """Loads a file of ``torch.save`` to the CPU.

    Raises:
        PoiseError: the file is damaged, or loading it would run code.
    """
    try:
        # An open file is passed, because with a path PyTorch would check the ending.
        with torch.serialization.safe_globals(_PLAIN), path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises any kind of error
        raise PoiseError(f"{path}: {_why(path, str(error))}") from None


def _why(path: Path, message: str) -> str:
    if _is_program(path):
        return "is a TorchScript program; load it where it was made and save its state_dict()"
    wanted = re.search(r"GLOBAL ([\w.]+)|but got <class '([\w.]+)'>", message)
    if wanted:
        return (
            f"refused: loading it would run {wanted[1] or wanted[2]} (it is a pickle of more than "
            "tensors); save only its tensors, best as safetensors"
        )
    return (
        "is no checkpoint, or a damaged one: neither PyTorch's file of tensors nor safetensors; "
        "get it again"
    )


def _is_program(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as content:
            return any(name.endswith("/constants.pkl") for name in content.namelist())
    except (OSError, zipfile.BadZipFile):
        return False
