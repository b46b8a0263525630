"""Finds metrics that the store already has, so that they are not stored twice.

In: the points that a writer is about to send. Out: the points that the store does not have. Next:
``poise.tracking.run_writer``.

A killed process may have stored steps after its last checkpoint. The resumed process trains these
steps again and logs the same results. MLflow would store both rows and draw a zigzag.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from poise.tracking.store import Store
from poise.tracking.unsent_metrics import Point

_OF_EVERY_STEP = "loss/total"
"""Metric of every logged step except step 0. Its history shows which steps are stored."""


@dataclass
class StoredPoints:
    """Points of one run that the store has.

    The store is read once, before the first point is sent.
    """

    store: Store
    run_id: str
    _last: dict[str, int] | None = None
    """Last stored step of each metric, or None before the store was read."""

    _steps: set[int] = field(default_factory=lambda: {0})

    def lacking(self, points: Sequence[Point]) -> list[Point]:
        """Returns the points that the store does not have.

        Raises:
            MlflowException: the store does not answer.
        """
        if self._last is None:
            self._last, self._steps = self._read()
        return list(self._new(points, dict(self._last), set(self._steps)))

    def add(self, points: Sequence[Point]) -> None:
        """Remembers that the store has these points."""
        assert self._last is not None
        for _ in self._new(points, self._last, self._steps):
            pass

    def _new(
        self, points: Sequence[Point], last: dict[str, int], steps: set[int]
    ) -> Iterator[Point]:
        """Yields the points that are new, and adds them to ``last`` and ``steps``.

        The points of a step are sent in the order of their names, perhaps in two requests.
        """
        for point in points:
            newest = last.get(point.key, -1)
            if point.step == newest or (point.step in steps and point.step < newest):
                continue
            last[point.key] = max(point.step, newest)
            if point.key == _OF_EVERY_STEP:
                steps.add(point.step)
            yield point

    def _read(self) -> tuple[dict[str, int], set[int]]:
        client = self.store.client
        newest = client.get_run(self.run_id).data.to_proto().metrics
        last = {metric.key: int(metric.step) for metric in newest}
        rows = client.get_metric_history(self.run_id, _OF_EVERY_STEP) if last else ()
        return last, {0, *(int(row.step) for row in rows)}
