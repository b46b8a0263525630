"""How the outcome depends on one setting, and on two.

In: records. Out: a ``DoseResponse`` for every setting that varies, and a ``PhaseDiagram`` of two.
Next: ``poise.sweeps.findings``.
"""

from dataclasses import dataclass
from typing import Any, Literal

from poise.sweeps.estimates import Estimate, Share

Scale = Literal["linear", "log", "ordered"]


@dataclass(frozen=True)
class Dose:
    """One value of a setting, or a bin of neighbouring ones."""

    label: str
    value: Any
    """Of a bin, the median."""

    metric: Estimate
    condemned: Share
    trials: tuple[str, ...]


@dataclass(frozen=True)
class DoseResponse:
    """The outcome over the values of one setting."""

    key: str
    name: str
    scale: Scale
    """``ordered``: the values are names, or numbers too uneven for an axis."""

    doses: tuple[Dose, ...]
    pooled: tuple[str, ...]
    """Settings that varied too, and over which each dose is averaged."""


@dataclass(frozen=True)
class Axis:
    """One side of a phase diagram."""

    key: str
    name: str
    labels: tuple[str, ...]
    """In order; cells name them by index."""


@dataclass(frozen=True)
class PhaseCell:
    """The trials at one value of both settings."""

    x: int
    y: int
    outcome: str
    """The most frequent one; of equally frequent ones the worse."""

    outcomes: dict[str, int]
    condemned: Share
    metric: Estimate
    trials: tuple[str, ...]


@dataclass(frozen=True)
class PhaseDiagram:
    """Outcomes over two settings. A study of one setting has a single row (``y`` is none)."""

    x: Axis
    y: Axis | None
    cells: tuple[PhaseCell, ...]
    """Only those that hold a trial."""

    pooled: tuple[str, ...]
    chosen_because: str
    """Why these two, where more varied; else empty."""
