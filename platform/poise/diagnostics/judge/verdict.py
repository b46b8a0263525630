"""The kinds of verdict.

In: nothing. Out: ``Verdict``. Next: ``poise.diagnostics.judge.judge``, then the log, the study's
table and the registry, which accepts only healthy runs.
"""

from dataclasses import dataclass
from enum import StrEnum


class VerdictKind(StrEnum):
    """Kind of verdict on a run. The values are the words in logs and reports."""

    HEALTHY = "healthy"
    UNIFORM = "collapsed: uniform"
    SINGLE_PROTOTYPE = "collapsed: single prototype"
    PARTIAL_PROTOTYPES = "collapsed: partial prototypes"
    DIMENSIONAL = "collapsed: dimensional"
    PREDICTS_MEAN = "collapsed: predicts the mean"
    STUCK = "stuck at ln K"
    AT_LN_K = "loss rests at ln K"
    NEAR_ZERO = "loss fell to 0"
    SWINGING = "swings above ln K"
    UNMOVED_TEACHER = "teacher does not move"
    COPIED_TEACHER = "teacher is the student"
    FORGETTING = "forgetting"
    DIVERGED = "diverged"
    UNDECIDED = "undecided"
    CANNOT_TELL = "cannot tell"

    @property
    def rule(self) -> str:
        """Name of the rule for this verdict, for a sentence."""
        return f"the rule for “{self}”"


FEW_PROTOTYPES = (VerdictKind.SINGLE_PROTOTYPE, VerdictKind.PARTIAL_PROTOTYPES)
"""Collapses in which the whole batch uses few prototypes. Centering prevents both."""

NOT_CONDEMNED = (VerdictKind.HEALTHY, VerdictKind.UNDECIDED, VerdictKind.CANNOT_TELL)
"""Kinds of verdict on runs that may continue, because more training may be useful."""


@dataclass(frozen=True)
class Verdict:
    """Judgement of a run, with the reason and advice."""

    kind: VerdictKind
    onset_step: int | None
    """First step from which the run is in the condemned state until its last logged step. None if
    the run is not condemned.
    """

    evidence: str
    """Reason for the verdict: full sentences with the values of the metrics, in one line."""

    advice: str
    """Full sentences that say which settings to change next. The text is empty for a healthy run.
    """

    @property
    def collapsed(self) -> bool:
        """Whether the verdict is one of the collapses."""
        return self.kind.startswith("collapsed")

    @property
    def condemned(self) -> bool:
        """Whether more training of this run would be useless."""
        return self.kind not in NOT_CONDEMNED
