"""Ends a failed run on all its workers at the same step.

In: the verdict on the run so far, on worker rank 0. Out: True if the run ends here, the same on
every worker. Next: ``poise.training.logging_and_checkpoints``, which ends the run.

Worker rank 0 decides for all workers. The metrics are the same on all workers except for rounding,
which may depend on the processor. If workers decided differently, they would wait for each other
forever.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from poise.cluster.collectives import decision_of_first
from poise.diagnostics.judge import Verdict


@dataclass(frozen=True)
class CollapseStopper:
    """Ends collapsed runs early. Workers exchange one number at each logged step."""

    name: ClassVar[str] = "CollapseStopper"
    """Name of this stopper in the records and tags of runs that it ended."""

    enabled: bool
    """Whether runs may be ended early (``training.stop_collapsed``)."""

    device: torch.device
    """Device of the training."""

    def ends(self, verdict: Verdict | None) -> bool:
        """Returns True if the run ends here. Every worker must call this at the same steps.

        Args:
            verdict: verdict of worker rank 0 on the run so far; None on other workers.
        """
        condemned = verdict is not None and verdict.condemned
        return self.enabled and decision_of_first(condemned, self.device)
