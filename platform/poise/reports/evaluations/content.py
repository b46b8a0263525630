"""Content of a page about several evaluations of several models.

In: evaluation reports by model. Out: rows of a table. Next: ``poise.reports.evaluations.page``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from poise.evaluation.report import EvaluationReport, Figure


@dataclass(frozen=True)
class Section:
    """Results of one evaluation for every model."""

    name: str
    reports: Mapping[str, EvaluationReport]
    """Maps the label of each model to its report."""

    folders: Mapping[str, str]
    """Maps the label of each model to the folder with its files, relative to the page."""

    @property
    def protocol(self) -> str:
        """Protocol of the evaluation."""
        return next(iter(self.reports.values())).protocol

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics, in the order of the reports."""
        names = (found.name for report in self.reports.values() for found in report.figures_found)
        return tuple(dict.fromkeys(names))

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of all reports.

        A note that only some models have begins with the labels of these models.
        """
        models: dict[str, list[str]] = {}
        for label, report in self.reports.items():
            for note in report.notes:
                models.setdefault(note, []).append(label)
        return tuple(
            note if len(labels) == len(self.reports) else f"{', '.join(labels)}: {note}"
            for note, labels in models.items()
        )

    def cells(self, metric: str) -> list[str]:
        """Returns the cells of a metric, one per model: the value with its interval, or nothing."""
        return [_cell(_find(report, metric)) for report in self.reports.values()]


@dataclass(frozen=True)
class Content:
    """Content of a page about several evaluations."""

    dataset: str
    sections: tuple[Section, ...]
    left_out: Mapping[str, str]
    """Maps the name of each evaluation that did not run to the reason."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Maps the name of each evaluation that failed to its error."""

    @property
    def models(self) -> tuple[str, ...]:
        """Labels of the models, in the order of the columns."""
        return tuple(self.sections[0].reports)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Rows of the table: evaluation, metric, and one cell for each model."""
        return [
            (section.name, metric, *section.cells(metric))
            for section in self.sections
            for metric in section.metrics
        ]


def _find(report: EvaluationReport, metric: str) -> Figure | None:
    return next((found for found in report.figures_found if found.name == metric), None)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    unit = f" {figure.unit}" if figure.unit else ""
    if figure.low is None or figure.high is None:
        return f"{figure.value:.4g}{unit}"
    return f"{figure.value:.4g}{unit} ({figure.low:.3g} to {figure.high:.3g})"
