"""Content of one page about several evaluations.

In: reports by model. Out: rows of a table. Next: ``poise.reports.evaluations.page``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from poise.evaluation.report import EvaluationReport, Figure


@dataclass(frozen=True)
class Section:
    """One evaluation of every model."""

    name: str
    reports: Mapping[str, EvaluationReport]
    """Report of each model, by the model's label."""

    folders: Mapping[str, str]
    """Folder of each model's files, relative to the page."""

    @property
    def protocol(self) -> str:
        """Protocol of the metrics."""
        return next(iter(self.reports.values())).protocol

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics, in the order of the first report that has them."""
        names = (found.name for report in self.reports.values() for found in report.figures_found)
        return tuple(dict.fromkeys(names))

    def cells(self, metric: str) -> list[str]:
        """Returns one cell for each model: the value with its interval, or nothing."""
        return [_cell(_find(report, metric)) for report in self.reports.values()]


@dataclass(frozen=True)
class Content:
    """Everything that the page shows."""

    dataset: str
    sections: tuple[Section, ...]
    left_out: Mapping[str, str]
    """Reason of each evaluation that was not carried out, by name."""

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
