"""Collects all findings of a study, in the order of the report.

In: a study, its records and the histories of their metrics. Out: ``Findings``, plain data. Next:
``poise.reports``, which writes them as a page, as Markdown and as CSV.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poise.config.wording import NAMES
from poise.diagnostics.history import History
from poise.studies.analysis.cost import Cost, cost
from poise.studies.analysis.curves import (
    LABELS,
    BandCurve,
    Curve,
    Training,
    bands_of,
    curves_of,
    points_per_curve,
)
from poise.studies.analysis.dose_response import DoseResponse, dose_responses
from poise.studies.analysis.label_free_choice import Selection, select
from poise.studies.analysis.outlier_onset import OutlierOnset, outlier_onset
from poise.studies.analysis.phase_diagram import PhaseDiagram, phase_diagram
from poise.studies.findings.answer import answer
from poise.studies.findings.caveats import notes_on
from poise.studies.findings.comparison import compare
from poise.studies.findings.reproduction import Reproduction, reproduction
from poise.studies.findings.table import Comparison
from poise.studies.outcomes import pareto_front, trained_metrics
from poise.studies.records import TrialRecord
from poise.studies.study import Study


@dataclass(frozen=True)
class SettingCurves:
    """Course of a setting's training: a teacher's entropy and KL, or a decoder's loss."""

    setting: int
    label: str
    """Values of the setting if they are short enough, else its name: ``t03``."""

    outcome: str
    """Most frequent outcome of its trials."""

    is_baseline: bool
    onset_step: float | None
    curves: tuple[BandCurve, ...]


@dataclass(frozen=True)
class TrialFinding:
    """One trial: how it ended, and its curves with fewer points."""

    record: TrialRecord
    label: str
    """Values of its setting if they are short enough, else the setting's name: ``t03``."""

    values: str
    """Values of its setting in full."""

    onset_step: int | None
    metrics: dict[str, float]
    """Latest value of each metric, without metrics that were only measured before training."""

    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Advice:
    """Advice from verdicts, and the settings that it is for."""

    text: str
    settings: tuple[str, ...]
    """Values of these settings if they are short enough, else their names."""


@dataclass(frozen=True)
class Findings:
    """Findings of a study, as plain data."""

    study: str
    question: str
    """Question of the space; empty if it has none."""

    published: str
    """Result in the literature; empty if the space does not give one."""

    answer: tuple[str, ...]
    """Two short paragraphs: what explains the collapses, and which setting is best."""

    best: str | None
    """Best healthy trial; None if no trial is healthy."""

    registered: str | None
    """``models:/name/version`` of the best trial; None if nothing was registered."""

    front: tuple[str, ...]
    """Healthy trials that no other trial dominates in all metrics, ordered by the first metric."""

    comparison: Comparison
    notes: tuple[str, ...]
    """Sentences about how far the comparison can be trusted."""

    phase: PhaseDiagram | None
    """Phase diagram; None if nothing varies, or if settings change one at a time."""

    settings: tuple[SettingCurves, ...]
    doses: tuple[DoseResponse, ...]
    outliers: OutlierOnset | None
    """When patches become outliers; none where none do and the study does not ask for them."""

    trials: tuple[TrialFinding, ...]
    selection: Selection | None
    """Choice without labels; None if no trial has a metric that needs labels."""

    cost: Cost
    reproduction: Reproduction
    advice: tuple[Advice, ...]

    labels: dict[str, str]
    """Names of metrics for tables and axes: ``KL(teacher‖student) / ln K``."""


@dataclass(frozen=True)
class Winner:
    """Best healthy trial of a study."""

    trial: str
    """Name of the trial, such as ``t03-s1``."""

    registered: str | None = None
    """``models:/name/version`` of its backbone; None if it was not registered."""


@dataclass(frozen=True)
class RunFacts:
    """Facts from a study's run in MLflow about where the study ran."""

    tags: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Content of ``environment.json``, as ``describe_environment`` writes it."""

    is_running: bool = False
    """Whether a process is working on the study."""


_NOTHING_KNOWN = RunFacts()


def find(
    study: Study,
    records: Sequence[TrialRecord],
    histories: Mapping[str, History],
    winner: Winner | None = None,
    run: RunFacts = _NOTHING_KNOWN,
) -> Findings:
    """Collects all findings of a study.

    Args:
        study: study to describe.
        records: records of its trials, in any state.
        histories: metrics of each trial over its steps, by the trial's name.
        winner: best healthy trial; None if no trial is healthy.
        run: facts from the study's run in MLflow.
    """
    comparison = compare(study, records, run.is_running)
    held = study.held_baseline
    front = _front(study, records)
    settings = _settings(comparison, records, histories)
    doses = dose_responses(study.space, records, held)
    return Findings(
        study=study.name,
        question=study.space.question,
        published=study.space.published,
        answer=answer(study, records, comparison, front),
        best=winner.trial if winner else None,
        registered=winner.registered if winner else None,
        front=front,
        comparison=comparison,
        notes=notes_on(study, records, comparison),
        phase=None if held else phase_diagram(study.space, records),
        settings=settings,
        doses=tuple(doses),
        outliers=outlier_onset(records, histories, study.space.metric),
        trials=_trials(comparison, records, histories),
        selection=select(study.space, records),
        cost=cost(study, records),
        reproduction=reproduction(study, records, run.tags, run.environment),
        advice=_advice(records, {each.setting: each.label for each in settings}),
        labels={**NAMES, **LABELS},
    )


def _front(study: Study, records: Sequence[TrialRecord]) -> tuple[str, ...]:
    return tuple(record.trial.name for record in pareto_front(records, study.space.goals))


def _advice(records: Sequence[TrialRecord], called: Mapping[int, str]) -> tuple[Advice, ...]:
    settings: dict[str, dict[str, None]] = {}
    for record in records:
        if record.verdict is not None and record.verdict.advice:
            settings.setdefault(record.verdict.advice, {})[called[record.trial.setting]] = None
    return tuple(Advice(text, tuple(names)) for text, names in settings.items())


def _settings(
    comparison: Comparison, records: Sequence[TrialRecord], histories: Mapping[str, History]
) -> tuple[SettingCurves, ...]:
    most = points_per_curve(len(comparison.rows))
    trainings = {
        record.trial.name: Training(histories.get(record.trial.name, []), record.total_steps)
        for record in records
    }
    return tuple(
        SettingCurves(
            setting=row.setting,
            label=row.label if comparison.fits else row.name,
            outcome=next(iter(row.verdicts)),
            is_baseline=row.is_baseline,
            onset_step=row.onset_step,
            curves=bands_of([trainings[name] for name in row.trials], most),
        )
        for row in comparison.rows
    )


def _trials(
    comparison: Comparison, records: Sequence[TrialRecord], histories: Mapping[str, History]
) -> tuple[TrialFinding, ...]:
    most = points_per_curve(len(records))
    rows = {row.setting: row for row in comparison.rows}
    return tuple(
        TrialFinding(
            record=record,
            label=row.label if comparison.fits else row.name,
            values=row.label,
            onset_step=record.verdict.onset_step if record.verdict else None,
            metrics=trained_metrics(record, histories.get(record.trial.name, [])),
            curves=curves_of(histories.get(record.trial.name, []), most),
        )
        for record in records
        for row in (rows[record.trial.setting],)
    )
