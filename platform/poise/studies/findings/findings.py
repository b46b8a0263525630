"""Collects all findings of a study, in the order of the report.

In: a study, the records of its trials and their metrics over steps. Out: ``Findings``. Next:
``poise.reports``, which writes the findings as a page, as Markdown and as CSV.
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
from poise.studies.findings.advice import Advice, collect_advice
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
    """Curves of one setting: a teacher's entropy and KL divergence, or a decoder's loss."""

    setting: int
    label: str
    """Label of the setting: its values if they are short, otherwise its name, such as ``t03``."""

    outcome: str
    """Most frequent outcome of the setting's trials."""

    is_baseline: bool
    onset_step: float | None
    """Median step at which the setting's failed trials began to fail."""

    failed: int
    """Number of failed trials."""

    num_trials: int
    curves: tuple[BandCurve, ...]


@dataclass(frozen=True)
class TrialFinding:
    """Findings about one trial: its record, its last metrics and its curves."""

    record: TrialRecord
    label: str
    """Label of the trial's setting: its values if they are short, otherwise its name."""

    values: str
    """All values of the trial's setting, even if they are long."""

    onset_step: int | None
    metrics: dict[str, float]
    """Maps each metric to its last value. Metrics that were measured only before training are left
    out.
    """

    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Findings:
    """All findings of a study, ready for a report."""

    study: str
    question: str
    """Question that the study's file asks. It is empty if the file asks none."""

    published: str
    """Published result from the study's file. It is empty if the file has none."""

    answer: tuple[str, ...]
    """Two short paragraphs: what causes collapse, and which setting is best."""

    best: str | None
    """Name of the best healthy trial, or None if no trial is healthy."""

    registered: str | None
    """``models:/name/version`` of the best trial's backbone, or None if it was not registered."""

    front: tuple[str, ...]
    """Names of the healthy trials on the Pareto front of all metrics, ordered by the first metric.
    """

    comparison: Comparison
    notes: tuple[str, ...]
    """Notes about how far a user can trust the comparison."""

    phase: PhaseDiagram | None
    """Phase diagram. It is None if nothing varies, or if hyperparameters change one at a time."""

    settings: tuple[SettingCurves, ...]
    doses: tuple[DoseResponse, ...]
    outliers: OutlierOnset | None
    """Steps at which outlier patches appear. It is None if the report needs no section about
    outliers.
    """

    trials: tuple[TrialFinding, ...]
    selection: Selection | None
    """Choices by metrics without labels. It is None if no trial has a value of a metric that needs
    labels.
    """

    cost: Cost
    reproduction: Reproduction
    advice: tuple[Advice, ...]

    labels: dict[str, str]
    """Maps each metric to its name in tables and axes, such as ``KL(teacher‖student) / ln K``."""


@dataclass(frozen=True)
class Winner:
    """Best healthy trial of a study."""

    trial: str
    """Name of the trial, such as ``t03-s1``."""

    registered: str | None = None
    """``models:/name/version`` of its backbone, or None if it was not registered."""


@dataclass(frozen=True)
class RunFacts:
    """Facts about the study from its MLflow run."""

    tags: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Content of ``environment.json``, which ``describe_environment`` made."""

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
        records: records of the study's trials, in any state.
        histories: metrics of each trial over its steps, by the trial's name.
        winner: best healthy trial, or None if no trial is healthy.
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
        advice=collect_advice(records, comparison, {each.setting: each.label for each in settings}),
        labels={**NAMES, **LABELS},
    )


def _front(study: Study, records: Sequence[TrialRecord]) -> tuple[str, ...]:
    return tuple(record.trial.name for record in pareto_front(records, study.space.goals))


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
            failed=row.condemned.count,
            num_trials=len(row.trials),
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
