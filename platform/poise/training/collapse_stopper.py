"""Ends a failed run on all its workers at the same step.

In: the verdict on the run so far, on worker rank 0. Out: whether the run ends here, with the same
answer on every worker. Next: ``poise.training.worker``, which leaves the loop.

Worker rank 0 decides and the others follow. All workers log the same global metrics, but rounding
may differ if their processors differ. If workers disagreed, they would wait for each other forever.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from poise.cluster.collectives import sum_over_workers
from poise.diagnostics.judge import Verdict


@dataclass(frozen=True)
class CollapseStopper:
    """Decision to end a run early. Workers exchange one number at each logged step."""

    name: ClassVar[str] = "CollapseStopper"
    """Name of this stopper in the records and tags of runs that it ended."""

    enabled: bool
    """Whether the run may be ended: ``training.stop_collapsed``."""

    device: torch.device
    """Device of the training."""

    def ends(self, verdict: Verdict | None) -> bool:
        """Returns True if the run ends here. Every worker must call this at the same steps.

        Args:
            verdict: verdict of worker rank 0 on the run so far; None on other workers.
        """
        if not self.enabled:
            return False
        condemned = float(verdict is not None and verdict.condemned)
        return bool(sum_over_workers(torch.tensor(condemned, device=self.device)).item())
