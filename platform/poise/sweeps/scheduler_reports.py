"""Sends reports of a running trial to Ray Tune.

In: a worker's metrics, as Ray Train receives them. Out: reports to Tune. Next: Tune's scheduler,
which may stop the trial. The process that controls a trial's run imports this file, and importing
PyTorch would take seconds. So this file does not import PyTorch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.integration.ray_train import TuneReportCallback


class ForScheduler(TuneReportCallback):  # type: ignore[misc]
    """Ray Train callback that reports a trial's evaluations to Tune's scheduler.

    The scheduler may stop the trial after each report. The last evaluation is not reported, because
    the trial then ends anyway.
    """

    def __init__(self, metric: str) -> None:
        super().__init__()
        self._metric = metric

    def after_report(
        self, run_context: Any, metrics: Sequence[Mapping[str, Any]], checkpoint: Any
    ) -> None:
        """Forwards the metrics of worker rank 0 to Tune, with the path of a checkpoint, if any."""
        first = metrics[0]
        if self._metric in first and not first["ends"]:
            super().after_report(run_context, metrics, checkpoint)
