"""Time that a run has to save a checkpoint after SIGTERM.

In: the variable ``POISE_LEAVE_WITHIN_S``. Out: seconds. Next: ``poise.training.sigterm``, which
ends the process after this time. ``poise.cluster.job_entry`` sets the variable for jobs.
"""

import math
import os

from poise.config.errors import PoiseError

VARIABLE = "POISE_LEAVE_WITHIN_S"

DEFAULT_S = 25.0
"""Seconds if the variable is not set. Kubernetes and SLURM kill processes after 30 s by default."""


def leave_within_s() -> float:
    """Returns the seconds between SIGTERM and the end of the process.

    Raises:
        PoiseError: the variable is not a number above 0.
    """
    written = os.environ.get(VARIABLE, "").strip()
    try:
        seconds = float(written) if written else DEFAULT_S
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise PoiseError(
            f"{VARIABLE}={written}: must be a number of seconds above 0, some less than the time "
            "after which this process is killed"
        )
    return seconds
