"""Checks that the outputs of a backbone are finite, and that features can be compared.

In: outputs of a backbone for some images. Out: nothing, or an error. Next: every measurement uses
this check through ``poise.evaluation.reading.dataset_pass``.

Without this check, a classifier on NaN features would have an accuracy near chance, which looks
like a valid result.
"""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from poise.config.errors import PoiseError
from poise.config.locations import Location

logger = logging.getLogger(__name__)

_COMPARED = ("features", "descriptors")
"""Names of outputs [B, D] that are L2-normalised before they are compared."""

_LEAST_LENGTH = 1e-12  # PyTorch's ``normalize`` divides shorter features by it
_SAME = 1e-6  # largest difference of equal features, as a share of the largest value


class NotFiniteError(PoiseError):
    """Error for a backbone with NaN or infinite outputs, which cannot be measured."""


def check_finite(outputs: Mapping[str, Tensor], folder: Location) -> None:
    """Raises an error if an output has NaN or infinite values, or if a feature has no usable norm.

    A feature needs a norm that is finite and not too small, because features are divided by it. A
    feature of zeros passes, and so do integer outputs.

    Args:
        outputs: tensors of any shape, by name.
        folder: folder of the images, for the message.

    Raises:
        NotFiniteError: an output is not finite. The message names the output.
    """
    for name, tensor in outputs.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise not_finite(name, folder)
        if name in _COMPARED and tensor.ndim == 2:
            _check_lengths(name, tensor.float(), folder)


def _check_lengths(name: str, features: Tensor, folder: Location) -> None:
    lengths = torch.linalg.vector_norm(features, dim=1)
    is_empty = (features == 0).all(dim=1)
    wrong = ~lengths.isfinite() | ((lengths < _LEAST_LENGTH) & ~is_empty)
    if bool(wrong.any()):
        # The squares of such values are infinite, or 0. All images would be equally similar.
        largest = float(features[wrong].abs().max())
        raise NotFiniteError(
            f"{folder}: the backbone's {name} reach {largest:.0e} for some of its images, which no "
            "cosine can be computed from; the backbone has diverged, or its file is damaged"
        )


def warn_if_equal(features: Tensor, folder: Location) -> None:
    """Warns if all images have the same features [n, D]. Their order is then arbitrary."""
    spread = (features - features[:1]).abs().max()
    if len(features) > 1 and bool(spread <= _SAME * features.abs().max()):
        logger.warning(
            "warning: %s: all %d images have the same features, so these figures are arbitrary: "
            "the backbone has collapsed",
            folder, len(features),
        )  # fmt: skip


def not_finite(name: str, folder: Location) -> NotFiniteError:
    """Returns the error about an output with NaN or infinite values."""
    return NotFiniteError(
        f"{folder}: the backbone's {name} are not finite (NaN or infinite) for some of its images, "
        "so nothing can be measured; the backbone has diverged, or images are not normalised as "
        "it expects: see `poise models show`"
    )
