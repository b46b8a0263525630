"""Many runs of one recipe, and which of them to keep.

In: a space. Out: trials, each with a verdict, a report that compares them, and the best healthy
backbone in the registry. Next: ``poise.cluster`` and the command line. The only stage that knows
Ray Tune.

A study's own files are the truth of what is done (``poise.studies.records``); what Tune keeps for
itself is never read back, so a study goes on after any end, without unpickling anything.
"""

from poise.studies.choosing import choose_trials
from poise.studies.study import Study
from poise.sweeps.check import check_space
from poise.sweeps.extension import extend_study
from poise.sweeps.planning import begin_study, request_study
from poise.sweeps.result import StudyResult
from poise.sweeps.resumption import find_study
from poise.sweeps.runner import run_study

__all__ = [
    "Study",
    "StudyResult",
    "begin_study",
    "check_space",
    "choose_trials",
    "extend_study",
    "find_study",
    "request_study",
    "run_study",
]
