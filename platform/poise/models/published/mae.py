"""Layout of MAE (arXiv 2111.06377), with or without its decoder.

In: tensors with MAE's names. Out: a ``Reading`` (architecture and weights). Next:
``poise.models.published.layouts``.
"""

from dataclasses import replace

from torch import Tensor

from poise.models.published.preparation import published
from poise.models.published.shapes import Wishes
from poise.models.published.translation import Reading, Tensors
from poise.models.published.vit import read_vit


def read_mae(tensors: Tensors, wishes: Wishes) -> Reading:
    """Reads the encoder: a plain vision transformer with a position embedding for [cls]."""
    reading = read_vit(tensors, wishes, covers_prefix=True)
    return replace(reading, preparation=published("MAE"))


def has_fixed_positions(positions: Tensor | None) -> bool:
    """Recognises MAE's fixed sine-cosine positions, in which the position of [cls] is 0."""
    return positions is not None and positions.dim() == 3 and not bool(positions[:, 0].any())
