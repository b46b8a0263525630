"""Checks that the outputs of a backbone are finite.

In: outputs of a backbone for some images. Out: nothing, or an error. Next:
``poise.evaluation.reading.passes``, which every measurement uses.

Without this check, a classifier would give NaN features an accuracy near chance, which looks like a
valid result.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from poise.config.errors import PoiseError


class NotFiniteError(PoiseError):
    """Error for a backbone with NaN or infinite outputs, which cannot be measured."""


def check_finite(outputs: Mapping[str, Tensor], folder: Path) -> None:
    """Raises an error if an output has NaN or infinite values. Integer outputs always pass.

    Args:
        outputs: tensors of any shape, by name.
        folder: folder of the images, for the message.

    Raises:
        NotFiniteError: an output is not finite; the message names it.
    """
    for name, tensor in outputs.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise not_finite(name, folder)


def not_finite(name: str, folder: Path) -> NotFiniteError:
    """Makes the error about an output with NaN or infinite values."""
    return NotFiniteError(
        f"{folder}: the backbone's {name} are not finite (NaN or infinite) for some of its images, "
        "so nothing can be measured; the backbone has diverged, or images are not normalised as "
        "it expects: see `poise models show`"
    )
