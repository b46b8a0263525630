"""Many runs of one recipe, and which of them to keep.

In: a space. Out: trials, each with a verdict, a report that compares them, and the best healthy
backbone in the registry. Next: ``poise.cluster`` and the command line. The only stage that knows
Ray Tune.

A sweep's own files are the truth of what is done (``poise.sweeps.records``); what Tune keeps for
itself is never read back, so a sweep goes on after any end, without unpickling anything.
"""

from poise.sweeps.check import check_space
from poise.sweeps.records import Sweep
from poise.sweeps.request import begin_sweep, find_sweep
from poise.sweeps.sweep import SweepResult, run_sweep

__all__ = ["Sweep", "SweepResult", "begin_sweep", "check_space", "find_sweep", "run_sweep"]
