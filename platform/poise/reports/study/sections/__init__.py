"""The parts of the page, each a function from findings to a section; none where it has nothing."""

from collections.abc import Callable

from poise.reports.page.pieces import Section
from poise.reports.study.sections.comparison import comparison
from poise.reports.study.sections.cost import cost
from poise.reports.study.sections.doses import doses
from poise.reports.study.sections.phase import phase
from poise.reports.study.sections.reproduction import reproduction
from poise.reports.study.sections.selection import selection
from poise.reports.study.sections.training import training
from poise.reports.study.sections.trials import trials
from poise.studies.findings.findings import Findings

SECTIONS: tuple[Callable[[Findings], Section | None], ...] = (
    comparison,
    phase,
    training,
    doses,
    trials,
    selection,
    cost,
    reproduction,
)
"""In the order in which they are read."""

__all__ = ["SECTIONS"]
