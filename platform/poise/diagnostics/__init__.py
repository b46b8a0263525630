"""What happened in a step, in numbers, and what the numbers say about the run.

In: an ``Observation`` (what an objective shows after a step) and the parameters. Out: named
numbers of the global batch, and a ``Verdict`` on their history. Next: ``poise.training`` logs the
numbers; ``poise.sweeps`` and the command line show the verdict.
"""

from poise.diagnostics.judge.judge import judge
from poise.diagnostics.judge.verdict import Thresholds, Verdict, VerdictKind
from poise.diagnostics.observe import diagnose
from poise.diagnostics.parameters import ema_gap, gradient_norms
from poise.diagnostics.prototypes import AssignmentWindow

__all__ = [
    "AssignmentWindow",
    "Thresholds",
    "Verdict",
    "VerdictKind",
    "diagnose",
    "ema_gap",
    "gradient_norms",
    "judge",
]
