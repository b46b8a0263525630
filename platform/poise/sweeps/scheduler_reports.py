"""Sends reports of a running trial to Ray Tune.

In: a worker's metrics, as Ray Train receives them. Out: reports to Tune. Next: Tune's scheduler,
which may stop the trial. Nothing here needs PyTorch, because its import takes seconds. The process
that controls a trial's run loads this file and little else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.integration.ray_train import TuneReportCallback


class ForScheduler(TuneReportCallback):  # type: ignore[misc]
    """Sends Tune's scheduler the evaluations at which it may stop the trial.

    The last evaluation is not sent, because a trial that reaches its end concludes itself.
    """

    def __init__(self, metric: str) -> None:
        super().__init__()
        self._metric = metric

    def after_report(
        self, run_context: Any, metrics: Sequence[Mapping[str, Any]], checkpoint: Any
    ) -> None:
        """Forwards the metrics of worker rank 0, with the path of a checkpoint."""
        first = metrics[0]
        if self._metric in first and not first["ends"]:
            super().after_report(run_context, metrics, checkpoint)
