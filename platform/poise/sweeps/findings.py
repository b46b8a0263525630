"""Everything that a study found, in the order in which it is told.

In: a study, its records and the histories of their metrics. Out: ``Findings``, plain data.
Next: ``poise.sweeps.report``, which tells it as a page, as Markdown and as a table.
"""

from dataclasses import dataclass

from poise.sweeps.comparison import Comparison
from poise.sweeps.cost import Cost
from poise.sweeps.dose_response import DoseResponse, PhaseDiagram
from poise.sweeps.records import TrialRecord
from poise.sweeps.selection import Selection


@dataclass(frozen=True)
class Curve:
    """A metric over steps."""

    metric: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]
    """None where it was not finite."""


@dataclass(frozen=True)
class BandCurve:
    """A metric over steps, over the seeds of a setting."""

    metric: str
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    """The smallest seed's."""

    high: tuple[float, ...]
    n: tuple[int, ...]
    """Seeds that had come this far: where one stopped early, the mean is of the others."""


@dataclass(frozen=True)
class SettingCurves:
    """How a setting's training went: entropy and KL as in DINO's Fig. 7, or a decoder's gain."""

    setting: int
    label: str
    outcome: str
    """The most frequent one."""

    is_baseline: bool
    onset_step: float | None
    curves: tuple[BandCurve, ...]


@dataclass(frozen=True)
class TrialFinding:
    """One trial: how it ended and its curves, thinned out."""

    record: TrialRecord
    label: str
    """Its settings in words, without the seed."""

    onset_step: int | None
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Reproduction:
    """What somebody needs to do it again."""

    command: str
    source: str
    """The space's file."""

    overrides: tuple[str, ...]
    recipe_yaml: str
    space_yaml: str
    versions: dict[str, str]
    dataset: str
    fingerprint: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Findings:
    """What a study found."""

    study: str
    question: str
    """Empty where the space asks none."""

    published: str
    """What the paper found; empty where nothing is known."""

    answer: tuple[str, ...]
    """Two sentences, made of the numbers."""

    best: str | None
    """The healthy trial that won; none where there is none."""

    registered: str | None
    comparison: Comparison
    phase: PhaseDiagram | None
    settings: tuple[SettingCurves, ...]
    doses: tuple[DoseResponse, ...]
    trials: tuple[TrialFinding, ...]
    selection: Selection | None
    """None where no trial has a figure that needs labels."""

    cost: Cost
    reproduction: Reproduction
    advice: tuple[str, ...]
    """What the verdicts advise, each once."""

    labels: dict[str, str]
    """Words for the metrics of curves, such as ``KL(teacher‖student) / ln K``."""
