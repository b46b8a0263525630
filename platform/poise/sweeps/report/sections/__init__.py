"""The parts of the page, each a function from findings to a section; none where it has nothing."""

from collections.abc import Callable

from poise.sweeps.findings import Findings
from poise.sweeps.report.pieces import Section
from poise.sweeps.report.sections.comparison import comparison
from poise.sweeps.report.sections.cost import cost
from poise.sweeps.report.sections.doses import doses
from poise.sweeps.report.sections.phase import phase
from poise.sweeps.report.sections.reproduction import reproduction
from poise.sweeps.report.sections.selection import selection
from poise.sweeps.report.sections.training import training
from poise.sweeps.report.sections.trials import trials

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
