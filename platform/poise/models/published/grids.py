"""Finds the grid of patches (rows and columns) from the number of position embeddings.

In: the number of positions and of tokens before the patches. Out: rows and columns, or an error
that lists possible grids. Next: ``poise.models.published.vit``.

The number of positions alone is ambiguous. For example, 225 positions are either [cls] and 14 × 16
patches, or 15 × 15 patches in a model whose [cls] has no position.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from poise.config.errors import PoiseError
from poise.models.published.shapes import Basis, Wishes, square_side

_LONGEST = 2.5  # ratio of the sides: longer grids are not suggested


@dataclass(frozen=True)
class Grid:
    """Rows and columns of patches, and which tokens have a position."""

    rows: int
    columns: int
    covers_prefix: bool
    """Whether the tokens before the patches also have positions."""

    basis: Basis


def read_grid(
    num_positions: int, num_prefix: int, wishes: Wishes, covers_prefix: bool | None = None
) -> Grid:
    """Finds the grid of position embeddings.

    Usually [cls] and patches have positions. In models with registers, usually only patches have
    positions. If one of these cases gives a square grid, this grid is assumed.

    Args:
        num_positions: length of the position embeddings.
        num_prefix: number of tokens before the patches: [cls] and registers.
        wishes: facts from the user or a config, which may contain the grid.
        covers_prefix: whether the tokens before the patches have positions; None if the layout does
            not decide this.

    Raises:
        PoiseError: the given grid does not fit, or no grid is given and none or several fit.
    """
    usual = num_prefix == 1 if covers_prefix is None else covers_prefix
    readings = (usual,) if covers_prefix is not None or not num_prefix else (usual, not usual)
    patches = {covered: num_positions - num_prefix * covered for covered in readings}
    if wishes.grid is not None:
        return _given(wishes, patches, num_positions, num_prefix)
    sides = {covered: side for covered in readings if (side := square_side(patches[covered]))}
    rectangles = list(_rectangles(patches[usual]))
    if len(sides) == 1 and (usual in sides or not rectangles):
        ((covered, side),) = sides.items()
        basis = Basis(f"a square of {patches[covered]} patches", "--grid")
        return Grid(side, side, covered and num_prefix > 0, basis)
    squares = [(side, side) for side in sides.values()]
    fitting = [*rectangles, *squares] if sides else _all_rectangles(patches.values())
    raise PoiseError(
        f"pos_embed has {num_positions} positions and {num_prefix} tokens come before the patches: "
        f"{'several grids of patches fit' if fitting else 'no usual grid of patches fits'}; give "
        f"rows and columns with {_offered(fitting)}"
    )


def _given(wishes: Wishes, patches: dict[bool, int], num_positions: int, num_prefix: int) -> Grid:
    assert wishes.grid is not None
    rows, columns = wishes.grid
    basis = wishes.basis(f"--grid {rows} {columns}")
    if min(rows, columns) < 1:
        raise PoiseError(f"{basis.text}: rows and columns must be at least 1")
    for covered, num_patches in patches.items():
        if rows * columns == num_patches:
            return Grid(rows, columns, covered and num_prefix > 0, basis)
    fitting = _all_rectangles(patches.values())
    raise PoiseError(
        f"{basis.text}: pos_embed has {num_positions} positions for {num_prefix} tokens before "
        f"the patches and {rows} × {columns} patches, which do not match; give {_offered(fitting)}"
    )


def _rectangles(num_patches: int) -> Iterator[tuple[int, int]]:
    """Yields grids of this many patches that are not square.

    The longer side is at most 2.5 times the shorter side.
    """
    for rows in range(2, num_patches):
        columns, rest = divmod(num_patches, rows)
        if not rest and rows != columns and max(rows, columns) <= _LONGEST * min(rows, columns):
            yield rows, columns


def _all_rectangles(patches: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for num_patches in patches:
        side = square_side(num_patches)
        found += [*([(side, side)] if side else []), *_rectangles(num_patches)]
    return found


def _offered(grids: list[tuple[int, int]]) -> str:
    if not grids:
        return "--grid ROWS COLUMNS"
    return " or ".join(f"--grid {rows} {columns}" for rows, columns in grids[:4])
