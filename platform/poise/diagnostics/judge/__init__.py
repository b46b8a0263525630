"""Judges a run by the history of its metrics.

In: a ``History``, and the metrics that the run logs (``Signals``). Out: a ``Verdict``. Next: the
training loop, which may stop the run; the registry and the reports.

This package works on plain numbers and loads without torch.
"""

from poise.diagnostics.judge.judge import judge
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.verdict import NOT_CONDEMNED, Verdict, VerdictKind

__all__ = ["NOT_CONDEMNED", "Limits", "Verdict", "VerdictKind", "judge"]
