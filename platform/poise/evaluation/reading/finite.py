"""The check that a backbone's outputs are numbers at all.

In: outputs of a backbone for some images. Out: nothing, or one error. Next:
``poise.evaluation.reading.passes``, where every measurement passes.

A classifier gives NaN features some accuracy near chance, which looks like a result.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from poise.config.errors import PoiseError


class NotFiniteError(PoiseError):
    """A backbone gives NaN or infinite values, so nothing can be measured."""


def check_finite(outputs: Mapping[str, Tensor], folder: Path) -> None:
    """Refuses outputs with NaN or infinite values. Integer outputs always pass.

    Args:
        outputs: tensors of any shape, by name.
        folder: folder of the images, for the message.

    Raises:
        NotFiniteError: the message names the output.
    """
    for name, tensor in outputs.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise not_finite(name, folder)


def not_finite(name: str, folder: Path) -> NotFiniteError:
    """The error about an output that holds NaN or infinite values."""
    return NotFiniteError(
        f"{folder}: the backbone's {name} are not finite (NaN or infinite) for some of its images, "
        "so nothing can be measured; the backbone has diverged, or images are not normalised as "
        "it expects: see `poise models show`"
    )
