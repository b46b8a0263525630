"""What a trial's run tells Ray Tune on its way.

In: what Ray Train was told. Out: reports to Tune. Next: Tune's scheduler, which may stop the trial.
Nothing here needs PyTorch, which takes seconds to import: the process that controls a trial's run
loads this file and little else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.integration.ray_train import TuneReportCallback


class ForScheduler(TuneReportCallback):  # type: ignore[misc]
    """Hands Tune's scheduler the evaluations that it may stop the trial at.

    Not the last one: a trial that ends by itself is left to conclude itself.
    """

    def __init__(self, metric: str) -> None:
        super().__init__()
        self._metric = metric

    def after_report(
        self, run_context: Any, metrics: Sequence[Mapping[str, Any]], checkpoint: Any
    ) -> None:
        """Forwards the first worker's metrics, with the path of a checkpoint."""
        first = metrics[0]
        if self._metric in first and not first["ends"]:
            super().after_report(run_context, metrics, checkpoint)
