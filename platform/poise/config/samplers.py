"""Samplers: the ways in which a space draws the values of a setting.

In: a sampler from a YAML file, such as ``{uniform: [0.04, 0.07]}``. Out: a checked ``Sampler``.
Next: ``poise.config.space``.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field

from poise.config.base import Strict
from poise.config.errors import did_you_mean
from poise.config.values import canonical, same

SAMPLERS = {
    "grid_search": 1,
    "choice": 1,
    "uniform": 2,
    "quniform": 3,
    "loguniform": 2,
    "qloguniform": 3,
    "randint": 2,
    "lograndint": 2,
    "randn": 2,
}
"""Maps the name of each of Ray Tune's samplers to its number of arguments. `randint` excludes its
high end.
"""

_LARGEST_WHOLE = 2**63 - 1  # NumPy draws no larger numbers
_MANY = 10_000


class Sampler(Strict):
    """One of Ray Tune's samplers with its arguments, written ``{uniform: [0.04, 0.07]}``."""

    name: str
    arguments: Annotated[tuple[Any, ...], Field(strict=False)]

    @property
    def values(self) -> tuple[Any, ...] | None:
        """Values of a list; None if the sampler draws from a range."""
        return tuple(self.arguments[0]) if SAMPLERS[self.name] == 1 else None

    @property
    def draws_whole(self) -> bool:
        """Whether the sampler draws only whole numbers from a range."""
        return self.name in ("randint", "lograndint")

    @property
    def ends(self) -> tuple[float, float] | None:
        """Lowest and highest value of a range; None for a list and for the unlimited ``randn``."""
        if self.values is not None or self.name == "randn":
            return None
        low, high = self.arguments[:2]
        return (low, high - 1) if self.draws_whole else (low, high)

    @property
    def count(self) -> float:
        """Number of different values; infinite for a range of real numbers."""
        if self.values is not None:
            return len(self.values)
        if self.ends is None or (SAMPLERS[self.name] < 3 and not self.draws_whole):
            return math.inf
        low, high = self.ends
        return round((high - low) / self._step) + 1

    def every(self) -> Iterable[Any]:
        """Returns all values in order. ``count`` must be finite."""
        if self.values is not None:
            return self.values
        assert self.ends is not None and math.isfinite(self.count)
        low, step = self.ends[0], self._step
        return (low + step * number for number in range(int(self.count)))

    def gives(self, value: Any) -> bool:
        """Returns True if the sampler can draw this value."""
        if self.values is not None:
            return any(same(value, each) for each in self.values)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.draws_whole and not isinstance(value, int):
            return False
        if self.ends is None:
            return math.isfinite(value)
        low, high = self.ends
        steps = (value - low) / self._step if math.isfinite(self.count) else 0.0
        return low <= value <= high and math.isclose(steps, round(steps), abs_tol=1e-6)

    @property
    def _step(self) -> float:
        step: float = self.arguments[2] if SAMPLERS[self.name] == 3 else 1
        return step


def written(sampler: Sampler) -> str:
    """Writes the sampler as in a YAML file: ``{uniform: [0.04, 0.07]}``."""
    values = sampler.arguments if sampler.values is None else sampler.values
    return f"{{{sampler.name}: {[*values]}}}"


def num_settings(samplers: Iterable[Sampler]) -> float:
    """Counts the combinations of several samplers; the result may be infinite."""
    return math.prod(sampler.count for sampler in samplers)


def every_setting(samplers: dict[str, Sampler]) -> Iterable[dict[str, Any]]:
    """Yields the combinations of values, at most 10,000. ``num_settings`` must be finite."""
    cells = itertools.product(*(sampler.every() for sampler in samplers.values()))
    for cell in itertools.islice(cells, _MANY):
        yield dict(zip(samplers, cell, strict=True))


def read_sampler(key: str, content: Any) -> Any:
    """Checks a sampler that comes from a YAML file or from a stored space.

    Raises:
        ValueError: Ray Tune has no such sampler, or the sampler does not accept these values.
    """
    if isinstance(content, Sampler):
        return content
    name, values = _taken_apart(key, content)
    if str(name) not in SAMPLERS:
        hint = did_you_mean(str(name), [*SAMPLERS], f"there are {', '.join(SAMPLERS)}")
        raise ValueError(f"'{key}': Ray Tune has no sampler '{name}'; {hint}")
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(f"'{key}': {name} needs a list of values, got {values!r}")
    if SAMPLERS[name] == 1:
        _check_list(f"'{key}': {name}", values)
        return {"name": name, "arguments": (list(values),)}
    if len(values) != SAMPLERS[name]:
        raise ValueError(f"'{key}': {name} takes {SAMPLERS[name]} values, got {[*values]}")
    problem = _problem(name, values)
    if problem:
        raise ValueError(f"'{key}': {name} {problem}, got {[*values]}")
    return {"name": name, "arguments": tuple(values)}


def _taken_apart(key: str, content: Any) -> tuple[Any, Any]:
    if isinstance(content, dict) and content.keys() == {"name", "arguments"}:  # of a stored space
        name, arguments = content["name"], content["arguments"]
        is_list = SAMPLERS.get(str(name)) == 1 and isinstance(arguments, list | tuple)
        return name, arguments[0] if is_list and len(arguments) == 1 else arguments
    if not isinstance(content, dict) or len(content) != 1:
        raise ValueError(f"'{key}' must be one sampler with its values, such as {{choice: [1, 2]}}")
    ((name, values),) = content.items()
    return name, values


def _check_list(which: str, values: Sequence[Any]) -> None:
    for index, value in enumerate(values):
        for other in values[:index]:
            if other == value:
                raise ValueError(f"{which} has a value twice in {[*values]}; a setting is run once")
            if canonical(other) == canonical(value):
                raise ValueError(
                    f"{which} has {other!r} and {value!r}, one as text; keep the one that is meant"
                )


def _problem(name: str, values: Sequence[Any]) -> str:
    """Describes what is wrong with the arguments of a numeric sampler; empty if they are valid."""
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in values):
        return "takes numbers"
    if not all(math.isfinite(each) for each in values):
        return "takes finite numbers"
    if name == "randn":
        return "" if values[1] > 0 else "needs a standard deviation above 0"
    low, high = values[:2]
    if name in ("randint", "lograndint"):
        if not all(isinstance(each, int) for each in values):
            return "takes whole numbers"
        if max(abs(low), abs(high)) > _LARGEST_WHOLE:
            return f"takes whole numbers up to {_LARGEST_WHOLE}"
    if low >= high:
        return "needs a low end below its high end"
    if not math.isfinite(high - low):
        return "needs ends that are less far apart"
    if "log" in name and low <= 0:
        return "needs a low end above 0"
    return _step_problem(low, high, values[2]) if len(values) == 3 else ""


def _step_problem(low: float, high: float, step: float) -> str:
    if step <= 0:
        return "needs a step above 0"
    for end in (low, high):
        if not math.isfinite(end / step) or not math.isclose(end / step, round(end / step)):
            return f"needs ends that are multiples of its step, which {end} is not of {step}"
    return ""
