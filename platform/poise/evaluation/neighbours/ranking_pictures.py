"""Picture of rankings: a query in each row, then its nearest images.

In: thumbnails, and whether each nearest image is right. Out: a PNG. Next: a report's pictures.

No picture needs colour to be read: the frame of a miss is dashed and its caption has a cross.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

_CELL_INCHES = 1.15
_TITLE_INCHES = 0.34


class Mark(Enum):
    """What a nearest image is to its query: the sign, the frame's colour and its dashes."""

    HIT = ("✓", "#009e73", "solid")
    MISS = ("✗", "#d55e00", (0, (3, 2)))
    IGNORED = ("–", "#777777", "dotted")

    @classmethod
    def of(cls, is_right: bool) -> "Mark":
        """Marks a right image as a hit and every other as a miss."""
        return cls.HIT if is_right else cls.MISS


@dataclass(frozen=True)
class Ranked:
    """One of a query's nearest images."""

    image: Image.Image
    caption: str
    mark: Mark


@dataclass(frozen=True)
class Ranking:
    """Query and its nearest images, most similar first."""

    query: Image.Image
    title: str
    """One or two short lines, such as the class and the average precision."""

    nearest: Sequence[Ranked]


def draw_rankings(path: str | Path, rankings: Sequence[Ranking], title: str = "") -> None:
    """Draws a row for each query: the query without a frame, then its nearest images with one.

    Args:
        path: path of the PNG.
        rankings: at least one; rows may have different lengths.
        title: one line above all rows.
    """
    columns = 1 + max(len(ranking.nearest) for ranking in rankings)
    size = (_CELL_INCHES * columns, (_CELL_INCHES + _TITLE_INCHES) * len(rankings) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(rankings), columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, ranking in zip(axes, rankings, strict=True):
        row[0].imshow(ranking.query)
        row[0].set_title(ranking.title, fontsize=7, fontweight="bold")
        for axis, ranked in zip(row[1:], ranking.nearest, strict=False):
            _draw_ranked(axis, ranked)
    if title:
        figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=130)


def _draw_ranked(axis: Axes, ranked: Ranked) -> None:
    sign, color, dashes = ranked.mark.value
    axis.imshow(ranked.image)
    axis.set_title(f"{sign} {ranked.caption}", fontsize=7, color=color)
    axis.set_axis_on()
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(edgecolor=color, linewidth=2.2, linestyle=dashes)
