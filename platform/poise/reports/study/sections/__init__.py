"""Sections of the page: functions that turn findings into a section.

A function returns None if its section has no content.
"""

from collections.abc import Callable

from poise.reports.page.page_elements import Section
from poise.reports.study.sections.comparison import comparison
from poise.reports.study.sections.cost import cost
from poise.reports.study.sections.dose_response import doses
from poise.reports.study.sections.label_free_choice import selection
from poise.reports.study.sections.outliers import outliers
from poise.reports.study.sections.phase_diagram import phase
from poise.reports.study.sections.reproduction import reproduction
from poise.reports.study.sections.training import training
from poise.reports.study.sections.trials import trials
from poise.studies.findings.findings import Findings

SECTIONS: tuple[Callable[[Findings], Section | None], ...] = (
    comparison,
    phase,
    training,
    doses,
    outliers,
    trials,
    selection,
    cost,
    reproduction,
)
"""Functions that make the sections, in the order of the page."""

__all__ = ["SECTIONS"]
