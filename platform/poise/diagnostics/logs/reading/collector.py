"""Collects the rows of a log by step, with limited memory.

In: rows in the order of the file. Out: a ``History`` with the log's own names. Next:
``diagnostics/logs/reading/opening.py``.

Rows of the same step become one entry. If they have different values of a metric, the later value
is used. If the step of a row is smaller than before, the run was resumed from a checkpoint. Then
the entries from this step on are removed, because the resumed run repeats these steps. If the step
decreases many times, an error is raised: the rows are not in order or belong to several runs.

A long log is shortened: neighbouring entries are merged, and each metric keeps its newest value. A
log of ten million rows needs no more memory than a log of twenty thousand rows. The first entries
are never merged, because verdicts compare a run with its beginning.
"""

from bisect import bisect_left
from collections.abc import Mapping

from poise.config.errors import PoiseError
from poise.config.wording import counted
from poise.diagnostics.history import History

MAX_ENTRIES = 20_000
MAX_VALUES = 1_000_000
_UNMERGED = 64

_FEW_RESUMES = 3
_MOST_RESUMES_SHARE = 0.1


class Collector:
    """Collector of the entries of a log, or of one series in a log.

    Args:
        max_entries: largest number of entries. If there are more, neighbouring entries are merged.
        max_values: largest number of values in all entries. If there are more, entries are merged
            too.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES, max_values: int = MAX_VALUES) -> None:
        self._max_entries, self._max_values = max_entries, max_values
        self._steps: list[int] = []
        self._values: list[dict[str, float]] = []
        self._in_last = 0
        self._count = 0
        self.stride = 1
        """Number of logged steps that are merged into one entry."""

        self.rows = 0
        self.repeated = 0
        """Number of rows that give a metric a second, different value at the same step."""

        self.went_back: list[tuple[int, int]] = []
        """Pairs of steps, before and after each decrease of the step."""

    @property
    def history(self) -> History:
        """Entries that were collected so far."""
        return list(zip(self._steps, self._values, strict=True))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a row of the log.

        If there is an entry for this step, the metrics are added to it.

        Args:
            step: step of the row.
            values: metrics of the row.
        """
        self.rows += 1
        if self._steps and step < self._steps[-1]:
            self.went_back.append((self._steps[-1], step))
            self._remove_from(step)
        if self._steps and step == self._steps[-1]:
            self._merge(values)
        elif self._is_open():
            self._steps[-1] = step
            self._in_last += 1
            self._extend(values)
        else:
            self._steps.append(step)
            self._values.append(dict(values))
            self._in_last = 1
            self._count += len(values)
        if len(self._steps) > self._max_entries or self._count > self._max_values:
            self._thin()

    def check_order(self, source: str) -> None:
        """Raises an error if the steps of the log are not in order.

        Raises:
            PoiseError: the step decreases more often than in the logs of resumed runs.
        """
        times = len(self.went_back)
        if times <= max(_FEW_RESUMES, _MOST_RESUMES_SHARE * self.rows):
            return
        before, after = self.went_back[0]
        raise PoiseError(
            f"{source}: its steps go back {times} times in {self.rows} rows (first from {before} "
            f"to {after}), so it is not the log of one run in order; sort its rows by step, "
            "split it by run, or name another column with --metric step=COLUMN"
        )

    def notes(self, unit: str) -> list[str]:
        """Returns sentences about steps that were logged again, and about steps that are merged.

        Args:
            unit: name of the unit of steps, such as ``epoch``.
        """
        found = []
        if self.went_back:
            before, after = self.went_back[-1]
            often = f"{len(self.went_back)} times, last" if len(self.went_back) > 1 else "once,"
            found.append(
                f"the log went back {often} from {unit} {before} to {unit} {after}, as after a "
                "resume: of repeated parts the later one is judged"
            )
        if self.repeated:
            found.append(
                f"{counted(self.repeated, 'row')} gave another value for an earlier {unit}: the "
                "last row counts"
            )
        if self.stride > 1:
            found.append(
                f"the log is long: after its beginning, {self.stride} logged {unit}s are judged as "
                "one, with the newest value of each metric"
            )
        return found

    def _is_open(self) -> bool:
        return len(self._steps) > _UNMERGED and self._in_last < self.stride

    def _merge(self, values: Mapping[str, float]) -> None:
        last = self._values[-1]
        self.repeated += any(last.get(name, value) != value for name, value in values.items())
        self._extend(values)

    def _extend(self, values: Mapping[str, float]) -> None:
        last = self._values[-1]
        self._count -= len(last)
        last.update(values)
        self._count += len(last)

    def _remove_from(self, step: int) -> None:
        start = bisect_left(self._steps, step)
        self._count -= sum(map(len, self._values[start:]))
        del self._steps[start:], self._values[start:]
        self._in_last = self.stride  # the next row begins a new entry

    def _thin(self) -> None:
        if len(self._steps) <= _UNMERGED + 1:
            return
        steps, values = self._steps[_UNMERGED:], self._values[_UNMERGED:]
        odd = len(steps) % 2
        merged = [{**a, **b} for a, b in zip(values[:-1:2], values[1::2], strict=False)]
        self._steps[_UNMERGED:] = [*steps[1::2], *steps[len(steps) - odd :]]
        self._values[_UNMERGED:] = [*merged, *values[len(values) - odd :]]
        self._in_last = self._in_last if odd else self.stride + self._in_last
        self.stride *= 2
        self._count = sum(map(len, self._values))
