"""The verdict on a run, from the history of its metrics.

In: a ``History`` and what the run's metrics are expected to hold (``Signals``). Out: a
``Verdict``. Next: the training loop, which may end the run, the registry and the reports.

This package works on plain numbers and loads without torch.
"""

from poise.diagnostics.judge.judge import judge
from poise.diagnostics.judge.verdict import Limits, Verdict, VerdictKind

__all__ = ["Limits", "Verdict", "VerdictKind", "judge"]
