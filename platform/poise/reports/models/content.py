"""Content of a page about one or several registered versions.

In: versions and their store. Out: tables, and pictures of all versions side by side. Next:
``poise.reports.models.page``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from poise.reports.page.page_elements import Cell, Table, table
from poise.tracking.registry.comparison import ABSENT, Comparison, FigureRow
from poise.tracking.registry.lineage import lineage_of
from poise.tracking.registry.paired_differences import Difference
from poise.tracking.registry.pictures import list_pictures, read_file
from poise.tracking.registry.version import RegisteredFigure, Version
from poise.tracking.store import Store

_PAIRED = (
    "A difference marked “paired” compares two models image by image: on the same images, with the "
    "same bank or training images."
)


@dataclass(frozen=True)
class PictureRow:
    """One picture of every version, side by side."""

    path: str
    """Path of the picture among the artifacts of each version's run."""

    pictures: tuple[bytes | None, ...]
    """Content of the picture's file for each version. It is None if a version lacks the picture."""


@dataclass(frozen=True)
class ModelsContent:
    """Content of a page about registered versions."""

    versions: tuple[Version, ...]
    facts: Table
    settings: Table | None
    """Settings that differ between versions, or None if there is no difference."""

    figures: Table | None
    pictures: tuple[PictureRow, ...]
    note: str
    """Explanation of differences that are computed image by image. It is empty for one version,
    because then there are no differences.
    """

    @property
    def title(self) -> str:
        """Title of the page."""
        return " · ".join(version.short for version in self.versions)


def read_content(store: Store, found: Comparison) -> ModelsContent:
    """Reads the pictures of the compared versions, and makes the tables of the page."""
    return ModelsContent(
        versions=found.versions,
        facts=_facts(found),
        settings=_settings(found),
        figures=_figures(found),
        pictures=tuple(_pictures(store, found.versions)),
        note=_PAIRED if len(found.versions) > 1 else "",
    )


def _facts(found: Comparison) -> Table:
    """Makes the table with the verdict and the history of each version."""
    columns = []
    for version, maker in zip(found.versions, found.makers, strict=True):
        tags = version.tags
        column = {
            "aliases": " ".join(f"@{alias}" for alias in version.aliases) or ABSENT,
            "backbone": tags.get("backbone", ABSENT),
            "objective": tags.get("objective", ABSENT),
            "verdict": tags.get("verdict", ABSENT),
            "evidence": maker.evidence or ABSENT,
        }
        columns.append(column | {what: text for what, text in lineage_of(version, maker) if what})
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [(name, *(column.get(name, ABSENT) for column in columns)) for name in names]
    return table("What each model is and where it comes from", _headers(found), rows)


def _settings(found: Comparison) -> Table | None:
    if not found.settings:
        return None
    rows = [(name, *values) for name, values in found.settings]
    return table("Settings and facts that differ", _headers(found), rows)


def _figures(found: Comparison) -> Table | None:
    if not found.figures:
        return None
    rows = [_figure_row(row) for row in found.figures]
    return table("Figures with 95 % intervals", _headers(found), rows)


def _figure_row(row: FigureRow) -> list[str | Cell]:
    return [row.metric, *(_cell(row, column) for column in range(len(row.figures)))]


def _cell(row: FigureRow, column: int) -> Cell:
    figure = row.figures[column]
    if figure is None:
        return Cell(ABSENT)
    notes = [figure.interval, *_protocol(row, figure), *_difference(row.differences[column])]
    return Cell(str(figure), "; ".join(note for note in notes if note))


def _protocol(row: FigureRow, figure: RegisteredFigure) -> list[str]:
    """Returns the protocol and dataset of a measured value, if they are not those of all versions.

    For a single version, they are returned if they are known.
    """
    is_told = figure.has_known_place if len(row.figures) == 1 else not row.is_comparable
    return [figure.where] if is_told else []


def _difference(found: Difference | None) -> list[str]:
    if found is None:
        return []
    kind = f"paired, {found.images} images" if found.is_paired else "not paired"
    figure = f", {found.other_metric}," if found.other_metric else ""
    return [f"difference to the first model{figure} {found} ({kind})"]


def _headers(found: Comparison) -> tuple[str, ...]:
    return ("", *(version.short for version in found.versions))


def _pictures(store: Store, versions: Sequence[Version]) -> list[PictureRow]:
    lists = [list_pictures(store, version) for version in versions]
    paths = dict.fromkeys(path for paths in lists for path in paths)
    return [
        PictureRow(
            path,
            tuple(
                read_file(store, version, path) if path in own else None
                for version, own in zip(versions, lists, strict=True)
            ),
        )
        for path in paths
    ]
