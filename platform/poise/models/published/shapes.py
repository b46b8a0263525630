"""Reads the dimensions of a transformer from the shapes of its weights.

In: tensors with timm's names, and facts from the user or a config. Out: the arguments that build
the model, and the origin of each argument. Next: the readers of the layouts.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from poise.config.errors import PoiseError


@dataclass(frozen=True)
class Basis:
    """Origin of a fact about an imported model."""

    text: str
    """Source of the fact, such as ``config.json``."""

    option: str | None = None
    """Command-line option that overrides the fact, if it is an assumption; None if the fact is
    known.
    """


@dataclass(frozen=True)
class Size:
    """Depth and number of heads of a published model, and the word for its size in timm's names."""

    name: str
    depth: int
    num_heads: int
    but: str = ""
    """Text for the user about published models that have this width but a different number of
    heads.
    """


SIZES: Mapping[int, Size] = {
    192: Size("tiny", 12, 3),
    384: Size("small", 12, 6, "MoCo v3's has 12"),
    768: Size("base", 12, 12),
    1024: Size("large", 24, 16),
    1280: Size("huge", 32, 16),
    1536: Size("giant", 40, 24),
}
"""Maps the width of a transformer to the size of the published models of DINO, MAE, SimMIM and
DINOv2.
"""


@dataclass(frozen=True)
class Wishes:
    """Facts about a checkpoint that the weights do not contain. The user or a config gives them."""

    num_heads: int | None = None
    depth: int | None = None
    architecture: str | None = None
    """Name of the model in timm; None derives the model from the weights."""

    grid: tuple[int, int] | None = None
    """Numbers of rows and columns of patches that the position embeddings are made for."""

    prefix: str | None = None
    """Prefix of the backbone's tensor names, if a file contains several backbones."""

    norm_eps: float | None = None
    """Epsilon of every LayerNorm."""

    said_by: str | None = None
    """File that contains these facts, such as ``config.json``; None means the command line."""

    def __post_init__(self) -> None:
        eps = self.norm_eps
        if eps is not None and not 0 < eps < 1:
            raise PoiseError(f"--norm-eps {eps:g}: needs a number between 0 and 1, such as 1e-6")

    def basis(self, option: str) -> Basis:
        """Returns the origin of a fact. ``option`` is the command-line option with its value."""
        return Basis(self.said_by or f"given with {option}")


@dataclass(frozen=True)
class Dimensions:
    """Dimensions of a transformer: width, depth, heads and patch size."""

    embed_dim: int
    depth: int
    num_heads: int
    patch_px: int
    heads_basis: Basis

    @property
    def options(self) -> dict[str, int]:
        """Dimensions as arguments of ``timm.create_model``."""
        return {
            "patch_size": self.patch_px,
            "embed_dim": self.embed_dim,
            "depth": self.depth,
            "num_heads": self.num_heads,
        }


def measure(
    tensors: Mapping[str, Tensor], wishes: Wishes, sizes: Mapping[int, Size] = SIZES
) -> Dimensions:
    """Reads the dimensions from the weights.

    In most layouts, the weights do not show the number of heads, nor whether the last blocks are
    missing. For widths in ``sizes``, heads and depth are those of the published model, unless the
    user gives others. For other widths, the user must give the number of heads.

    Raises:
        PoiseError: there is no patch embedding for square RGB patches, the depth is unexpected, or
            the number of heads is unknown or contradicts the weights.
    """
    weight = tensors.get("patch_embed.proj.weight")
    if weight is None or weight.dim() != 4:
        raise PoiseError("there is no patch embedding (patch_embed.proj.weight [D, 3, p, p])")
    embed_dim, channels, rows, columns = weight.shape
    if channels != 3 or rows != columns:
        raise PoiseError(
            f"patches of {rows} × {columns} px and {channels} channels; Poise needs square patches "
            "of RGB images"
        )
    depth = _depth(tensors)
    size = sizes.get(embed_dim)
    num_heads, basis = _heads(tensors, embed_dim, size, wishes)
    expected = wishes.depth or (size.depth if size else depth)
    if depth != expected:
        source = wishes.said_by or f"a model {embed_dim} wide"
        raise PoiseError(
            f"{depth} blocks, but {source} has {expected}: either the file is incomplete, or it "
            f"is another model; if it is another model, give --depth {depth}"
        )
    if num_heads < 1 or embed_dim % num_heads:
        raise PoiseError(
            f"{basis.text}: {num_heads} attention heads do not divide a width of {embed_dim}"
        )
    return Dimensions(embed_dim, depth, num_heads, rows, basis)


def _depth(tensors: Mapping[str, Tensor]) -> int:
    """Counts the blocks. Raises an error if a block in between is missing."""
    found = {index for index in map(_block, tensors) if index is not None}
    if not found:
        stages = next((name for name in tensors if re.match(r"(encoder\.)?layers\.", name)), None)
        other = f"; {stages} is of a model in stages, such as Swin, which Poise does not read"
        raise PoiseError(f"there are no blocks (blocks.0.…){other if stages else ''}")
    gap = next((index for index in range(len(found)) if index not in found), None)
    if gap is not None:
        raise PoiseError(
            f"there is a block {max(found)} and no block {gap}, so the file is incomplete; get it "
            "again"
        )
    return len(found)


def _heads(
    tensors: Mapping[str, Tensor], embed_dim: int, size: Size | None, wishes: Wishes
) -> tuple[int, Basis]:
    evident = evident_heads(tensors, embed_dim)
    if wishes.num_heads is not None:
        basis = wishes.basis(f"--heads {wishes.num_heads}")
        if evident and evident[0] != wishes.num_heads:
            raise PoiseError(
                f"{basis.text}: {wishes.num_heads} attention heads, but {evident[1]} is for "
                f"{evident[0]}; leave --heads out"
            )
        return wishes.num_heads, basis
    if evident:
        return evident[0], Basis(f"the shape of {evident[1]}")
    if size is None:
        raise PoiseError(
            f"no published model is {embed_dim} wide, and weights do not hold their number of "
            "attention heads; give it with --heads"
        )
    but = f", but {size.but}" if size.but else ""
    text = f"published models {embed_dim} wide have {size.num_heads}{but}"
    return size.num_heads, Basis(text, "--heads")


def evident_heads(tensors: Mapping[str, Tensor], embed_dim: int) -> tuple[int, str] | None:
    """Finds a tensor whose shape contains the number of heads.

    Returns:
        The number and the tensor's name; None if there is no such tensor.
    """
    for name, tensor in tensors.items():
        if name.endswith("relative_position_bias_table") and tensor.dim() == 2:
            return tensor.shape[1], name
        head_dim = 0
        if re.search(r"attn\.q_norm\.weight$", name):
            head_dim = tensor.numel()
        elif name.endswith("rope_embed.periods"):
            head_dim = 4 * tensor.numel()
        if head_dim and head_dim <= embed_dim and embed_dim % head_dim == 0:
            return embed_dim // head_dim, name
    return None


def mlp_ratio(tensors: Mapping[str, Tensor], layer: str = "fc1") -> float:
    """Computes the MLP's hidden width divided by the width D.

    The ratio is chosen so that ``int(D × ratio)`` is exactly the hidden width.
    """
    weight = tensors.get(f"blocks.0.mlp.{layer}.weight")
    if weight is None:
        return 4.0
    hidden, embed_dim = weight.shape
    ratio = float(hidden / embed_dim)
    return ratio if int(embed_dim * ratio) == hidden else (hidden + 0.5) / embed_dim


def square_side(num_patches: int) -> int | None:
    """Computes the side of a square grid of this many patches; None if there is no such square."""
    side = math.isqrt(num_patches) if num_patches > 0 else 0
    return side if side and side * side == num_patches else None


def _block(name: str) -> int | None:
    match = re.match(r"blocks\.(\d+)\.", name)
    return int(match.group(1)) if match else None
