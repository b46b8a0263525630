"""What the shapes of a transformer's weights say of it, and what they leave open.

In: tensors under timm's names. Out: the arguments that build the model they belong to.
Next: the layouts.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from poise.config.errors import PoiseError


@dataclass(frozen=True)
class Size:
    """A published size, by its width."""

    name: str
    depth: int
    num_heads: int


SIZES: Mapping[int, Size] = {
    192: Size("tiny", 12, 3),
    384: Size("small", 12, 6),
    768: Size("base", 12, 12),
    1024: Size("large", 24, 16),
    1280: Size("huge", 32, 16),
    1536: Size("giant", 40, 24),
}
"""Of DINO, MAE, SimMIM and DINOv2."""


@dataclass(frozen=True)
class Wishes:
    """What a person says of a checkpoint that its weights do not."""

    num_heads: int | None = None
    depth: int | None = None
    architecture: str | None = None
    """timm's name; by default the weights say what they are."""


@dataclass(frozen=True)
class Dimensions:
    """What transformers of every layout have."""

    embed_dim: int
    depth: int
    num_heads: int
    patch_px: int

    @property
    def options(self) -> dict[str, int]:
        """As timm's arguments."""
        return {
            "patch_size": self.patch_px,
            "embed_dim": self.embed_dim,
            "depth": self.depth,
            "num_heads": self.num_heads,
        }


def measure(
    tensors: Mapping[str, Tensor], wishes: Wishes, sizes: Mapping[int, Size] = SIZES
) -> Dimensions:
    """Reads the dimensions off the weights.

    The number of heads is not in them, and a last block that is missing leaves no trace: both are
    known of published widths, and must be said of others.

    Raises:
        PoiseError: there is no square RGB patch embedding, or the width is none of ``sizes`` and
            ``wishes`` do not say the heads, or the depth is not the published one.
    """
    weight = tensors.get("patch_embed.proj.weight")
    if weight is None or weight.dim() != 4:
        raise PoiseError("there is no patch embedding (patch_embed.proj.weight [D, 3, p, p])")
    embed_dim, channels, rows, columns = weight.shape
    if channels != 3 or rows != columns:
        raise PoiseError(
            f"patches of {rows} × {columns} px and {channels} channels; not square RGB"
        )
    depth = 1 + max((index for index in map(_block, tensors) if index is not None), default=-1)
    if not depth:
        raise PoiseError("there are no blocks (blocks.0.…)")
    size = sizes.get(embed_dim)
    if size is None and wishes.num_heads is None:
        raise PoiseError(
            f"no published model is {embed_dim} wide, and weights do not say their number of "
            "attention heads; say it with --heads"
        )
    expected = wishes.depth or (size.depth if size else depth)
    if depth != expected:
        raise PoiseError(
            f"{depth} blocks, where a model {embed_dim} wide has {expected}: the file is cut "
            f"short, or its model is another; in that case say --depth {depth}"
        )
    num_heads = wishes.num_heads or (size.num_heads if size else 0)
    if num_heads < 1 or embed_dim % num_heads:
        raise PoiseError(f"--heads {num_heads}: does not divide a width of {embed_dim}")
    return Dimensions(embed_dim, depth, num_heads, rows)


def mlp_ratio(tensors: Mapping[str, Tensor], layer: str = "fc1") -> float:
    """Hidden width over width, so that ``int(width × ratio)`` is the hidden width."""
    weight = tensors.get(f"blocks.0.mlp.{layer}.weight")
    if weight is None:
        return 4.0
    hidden, embed_dim = weight.shape
    ratio = float(hidden / embed_dim)
    return ratio if int(embed_dim * ratio) == hidden else (hidden + 0.5) / embed_dim


def square_side(num_patches: int) -> int | None:
    """Patches along a side of a square grid; none where they do not fill one."""
    side = math.isqrt(num_patches) if num_patches > 0 else 0
    return side if side and side * side == num_patches else None


def _block(name: str) -> int | None:
    match = re.match(r"blocks\.(\d+)\.", name)
    return int(match.group(1)) if match else None
