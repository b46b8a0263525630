"""Draws rankings: each row shows a query and then its nearest images.

In: thumbnails, and whether each nearest image is right. Out: a PNG file. Next: the pictures of a
report.

The picture can be read without colours. A wrong image has a dashed frame and a cross in its
caption.
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
    """Sign, frame colour and frame style that show whether a nearest image is right or wrong."""

    HIT = ("✓", "#009e73", "solid")
    MISS = ("✗", "#d55e00", (0, (3, 2)))
    IGNORED = ("–", "#777777", "dotted")

    @classmethod
    def of(cls, is_right: bool) -> "Mark":
        """Returns ``HIT`` for a right image and ``MISS`` for a wrong image."""
        return cls.HIT if is_right else cls.MISS


@dataclass(frozen=True)
class Ranked:
    """One of the nearest images of a query."""

    image: Image.Image
    caption: str
    mark: Mark


@dataclass(frozen=True)
class Ranking:
    """Query and its nearest images, the most similar first."""

    query: Image.Image
    title: str
    """One or two short lines, such as the class and the average precision."""

    nearest: Sequence[Ranked]


def draw_rankings(path: str | Path, rankings: Sequence[Ranking], title: str = "") -> None:
    """Draws one row per query: the query without a frame, then its nearest images with frames.

    Args:
        path: path of the PNG file.
        rankings: rankings, at least one. Rows may have different lengths.
        title: line above all rows.
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
