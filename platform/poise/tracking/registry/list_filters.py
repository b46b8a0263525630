"""Filters and sort order of `poise models list`.

In: texts such as ``eval/knn_top1>=60``. Out: a ``Query``. Next:
``poise.tracking.registry.version_search``.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from poise.config.errors import PoiseError, did_you_mean, first_few
from poise.config.metrics import better
from poise.tracking.registry.version import Version

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_FORM = "write it as 'eval/knn_top1>=60', with >=, <=, >, < or ="
_ORDERS = {"created": "desc", "name": "asc"}
"""Maps each order that needs no metric to its usual direction."""


@dataclass(frozen=True)
class Condition:
    """Condition on one measured value of a version, such as ``eval/knn_top1>=60``."""

    metric: str
    comparison: str
    value: float

    def __str__(self) -> str:
        """Writes the condition in the form that the user typed."""
        return f"{self.metric}{self.comparison}{self.value:g}"

    def holds(self, version: Version) -> bool:
        """Returns True if the version has the metric and its value meets the condition."""
        value = version.value_of(self.metric)
        return value is not None and _COMPARISONS[self.comparison](value, self.value)


@dataclass(frozen=True)
class Order:
    """Sort order of a list of versions."""

    by: str
    """Sort key: ``created``, ``name``, or the name of a metric."""

    highest_first: bool
    """Whether the highest value, the newest version or the last name comes first."""

    @property
    def metric(self) -> str | None:
        """Metric to sort by, or None if versions are sorted by name or time."""
        return None if self.by in _ORDERS else self.by

    def sorted(self, versions: Iterable[Version]) -> list[Version]:
        """Sorts versions.

        Versions without the metric are last. Equal versions are sorted newest first.
        """
        newest = sorted(versions, key=lambda each: (each.created_ms, each.version), reverse=True)
        if self.by == "created":
            return newest if self.highest_first else newest[::-1]
        if self.by == "name":
            return sorted(newest, key=lambda each: each.name, reverse=self.highest_first)
        return sorted(newest, key=self._rank)

    def _rank(self, version: Version) -> float:
        value = version.value_of(self.by)
        if value is None or not math.isfinite(value):
            return math.inf
        return -value if self.highest_first else value


NEWEST_FIRST = Order("created", highest_first=True)


@dataclass(frozen=True)
class Query:
    """Filters, sort order and limit for a list of versions."""

    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """Maps the name of each searchable tag to the value that it must have."""

    alias: str | None = None
    conditions: tuple[Condition, ...] = ()
    order: Order = NEWEST_FIRST
    limit: int | None = None
    """Largest number of versions. None means no limit."""

    @property
    def needs_figures(self) -> bool:
        """Whether the measured values of versions must be read to know which versions match."""
        return bool(self.conditions) or self.order != NEWEST_FIRST

    @property
    def metrics(self) -> list[str]:
        """Metrics of the conditions and of the sort order, each once."""
        asked = [*(each.metric for each in self.conditions), self.order.metric]
        return list(dict.fromkeys(each for each in asked if each is not None))

    def chosen(self, versions: Iterable[Version]) -> list[Version]:
        """Returns the versions that meet all conditions on measured values, in the sort order."""
        matching = [
            version for version in versions if all(each.holds(version) for each in self.conditions)
        ]
        return self.order.sorted(matching)

    def check_metrics(self, versions: Sequence[Version]) -> None:
        """Raises an error for a metric that no version has, because its name is probably wrong.

        Raises:
            PoiseError: no version has the metric. The message names the metrics that exist.
        """
        for metric in self.metrics:
            if versions and all(each.value_of(metric) is None for each in versions):
                known = sorted({name for version in versions for name in version.figures})
                there = f"there are {first_few(known)}" if known else "they have no figures"
                raise PoiseError(
                    f"{metric}: none of these versions has this figure; "
                    f"{did_you_mean(metric, known, there)}"
                )


def read_condition(text: str) -> Condition:
    """Reads a condition that a user wrote, such as ``eval/knn_top1>=60``.

    Raises:
        PoiseError: the text is not such a condition.
    """
    match = re.fullmatch(r"\s*([^<>=!\s]+)\s*(>=|<=|=|>|<)\s*([^<>=!\s]+?)\s*%?\s*", text)
    if match is None:
        raise PoiseError(f"--metric {text!r}: is not a condition; {_FORM}")
    metric, comparison, number = match.groups()
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PoiseError(f"--metric {text!r}: {number} is not a number; {_FORM}")
    return Condition(metric, comparison, value)


def read_order(text: str) -> Order:
    """Reads a sort order that a user wrote: ``created``, ``name``, ``METRIC`` or ``METRIC:asc``.

    A metric sorts the best value first. If neither high nor low values are always better, the user
    must write the direction.
    """
    by, colon, direction = text.strip().rpartition(":")
    if not colon:
        by, direction = text.strip(), ""
    if not by or direction not in ("", "asc", "desc"):
        raise PoiseError(
            f"--sort {text!r}: write created, name, METRIC, or one of these with :asc (lowest "
            "first) or :desc (highest first)"
        )
    if direction or by in _ORDERS:
        return Order(by, (direction or _ORDERS[by]) == "desc")
    best = better(by) or ("max" if re.search(r"_top[15]$", by) else None)
    if best is None:
        raise PoiseError(
            f"--sort {by}: neither end of this figure is always better; write --sort {by}:desc "
            f"(highest first) or --sort {by}:asc (lowest first)"
        )
    return Order(by, best == "max")
