"""Ends a condemned run on all its workers at the same step.

In: the verdict on the run so far, on its first worker. Out: whether the run ends here, the same
answer on every worker. Next: ``poise.training.worker``, which leaves the loop.

The first worker decides and the others follow. All workers log the same global numbers, but not to
the last bit where their processors differ, and workers that disagree would wait for each other for
ever.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from poise.cluster.collectives import sum_over_workers
from poise.diagnostics.judge import Verdict


@dataclass(frozen=True)
class CollapseStopper:
    """The decision to end a run early; costs one number between the workers at each interval."""

    name: ClassVar[str] = "CollapseStopper"
    """Its name in the records and tags of runs that it ended."""

    enabled: bool
    """Whether the run may be ended: ``training.stop_collapsed``."""

    device: torch.device
    """The device of the training."""

    def ends(self, verdict: Verdict | None) -> bool:
        """Whether the run ends here. Every worker must ask at the same steps.

        Args:
            verdict: the first worker's verdict on the run so far; none on other workers.
        """
        if not self.enabled:
            return False
        condemned = float(verdict is not None and verdict.condemned)
        return bool(sum_over_workers(torch.tensor(condemned, device=self.device)).item())
