"""Compares versions of models: settings that differ, and measured values side by side.

In: versions. Out: rows with one value for each version. Next: ``poise models compare``,
``poise models diff`` and ``poise.reports.models``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from poise.tracking.registry.description import ordered_figures
from poise.tracking.registry.lineage import Maker, find_run_of
from poise.tracking.registry.paired_differences import Difference, difference, read_answers
from poise.tracking.registry.version import RegisteredFigure, Version, places_of
from poise.tracking.store import Store

_LINEAGE = (
    "objective",
    "backbone",
    "dataset",
    "dataset_fingerprint",
    "initial_weights",
    "imported_from",
    "verdict",
    "version",
    "commit",
)
ABSENT = "–"


@dataclass(frozen=True)
class FigureRow:
    """One measured value (figure) of every version."""

    metric: str
    figures: tuple[RegisteredFigure | None, ...]
    differences: tuple[Difference | None, ...]
    """Differences of each version to the first version. The entry of the first version is None."""

    @property
    def is_comparable(self) -> bool:
        """Whether the values of all versions were measured with one protocol on one dataset."""
        return len(places_of(self.figures)) <= 1


@dataclass(frozen=True)
class Comparison:
    """Comparison of several versions with the first one."""

    versions: tuple[Version, ...]
    makers: tuple[Maker, ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]
    """Settings and facts that differ between versions. Each entry has a name and one value per
    version.
    """

    figures: tuple[FigureRow, ...]


def compare_versions(store: Store, versions: Sequence[Version]) -> Comparison:
    """Compares the settings and the measured values of versions.

    If two versions stored predictions for the same images, with the same bank or training images,
    their difference is computed image by image.
    """
    makers = tuple(find_run_of(store, version) for version in versions)
    return Comparison(
        tuple(versions),
        makers,
        tuple(settings_that_differ(versions, makers)),
        tuple(_figures(store, versions)),
    )


def settings_that_differ(
    versions: Sequence[Version], makers: Sequence[Maker]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the settings and facts that differ, with one value for each version."""
    for key in _LINEAGE:
        values = tuple(version.tags.get(key, ABSENT) for version in versions)
        if len(set(values)) > 1:
            yield key, values
    for key in sorted({key for maker in makers for key in maker.settings}):
        values = tuple(maker.settings.get(key, ABSENT) for maker in makers)
        if len(set(values)) > 1:
            yield key, values


def _figures(store: Store, versions: Sequence[Version]) -> Iterator[FigureRow]:
    names = dict.fromkeys(name for each in versions for name, _ in ordered_figures(each))
    answers = [read_answers(store, version) for version in versions] if len(versions) > 1 else [[]]
    first = versions[0]
    for name in names:
        yield FigureRow(
            name,
            tuple(version.figures.get(name) for version in versions),
            (
                None,
                *(
                    difference(first, version, name, (answers[0], own))
                    for version, own in zip(versions[1:], answers[1:], strict=True)
                ),
            ),
        )
