"""Finds the step at which outlier patches appear, and in how many trials of each setting.

In: records of trials, and the histories of their metrics. Out: ``OutlierOnset``. Next:
``poise.studies.findings.findings``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from poise.diagnostics.history import History
from poise.studies.analysis.intervals import Estimate, Share, mean_interval, share_interval
from poise.studies.records import TrialRecord

METRIC = "patches/outlier_share"

OUTLIERS_FROM = 0.01
"""Smallest share of outlier patches at which a trial counts as having outliers. A published share
is 0.024.
"""


@dataclass(frozen=True)
class SettingOutliers:
    """Outlier patches in the trials of one setting."""

    setting: int
    appeared: Share
    """Share of trials that had outliers at some step. A trial that ended early and had no outliers
    does not count.
    """

    onset_step: float | None
    """Median of the first logged steps with outliers. It is None if no trial had outliers."""

    latest: Estimate
    """Mean over trials of the last logged share of outlier patches, from 0 to 1."""


@dataclass(frozen=True)
class OutlierOnset:
    """Outlier patches in the trials of every setting."""

    settings: tuple[SettingOutliers, ...]
    trials: Mapping[str, int | None]
    """Maps the name of each trial to its first logged step with outliers, or to None without
    outliers.
    """


def outlier_onset(
    records: Sequence[TrialRecord],
    histories: Mapping[str, History],
    goals: Sequence[str] = (),
) -> OutlierOnset | None:
    """Finds the first logged step of every trial at which 1 % of the patches are outliers.

    Args:
        records: records of the study's trials, in any state.
        histories: metrics of each trial over its steps, by the trial's name.
        goals: metrics that the study compares.

    Returns:
        The steps of all trials. It is None if no trial logged the share of outlier patches. It is
        also None if no trial has outliers and the share is not a metric of the study.
    """
    shares = {
        record.trial.name: _shares(histories.get(record.trial.name, [])) for record in records
    }
    onsets = {name: _first_step(found) for name, found in shares.items() if found}
    appeared = any(step is not None for step in onsets.values())
    if not onsets or not (appeared or METRIC in goals):
        return None
    by_setting: dict[int, list[TrialRecord]] = {}
    for record in records:
        if record.trial.name in onsets:
            by_setting.setdefault(record.trial.setting, []).append(record)
    rows = tuple(
        _of_setting(number, by_setting[number], onsets, shares) for number in sorted(by_setting)
    )
    return OutlierOnset(rows, onsets)


def _shares(history: History) -> list[tuple[int, float]]:
    return [(step, metrics[METRIC]) for step, metrics in history if METRIC in metrics]


def _first_step(shares: Sequence[tuple[int, float]]) -> int | None:
    return next((step for step, share in shares if share >= OUTLIERS_FROM), None)


def _of_setting(
    number: int,
    records: Sequence[TrialRecord],
    onsets: Mapping[str, int | None],
    shares: Mapping[str, Sequence[tuple[int, float]]],
) -> SettingOutliers:
    known = [step for record in records if (step := onsets[record.trial.name]) is not None]
    # A trial that ended early without outliers might have had some later.
    decided = len(known) + sum(
        record.state == "finished" and onsets[record.trial.name] is None for record in records
    )
    return SettingOutliers(
        setting=number,
        appeared=share_interval(len(known), decided),
        onset_step=float(median(known)) if known else None,
        latest=mean_interval((shares[record.trial.name][-1][1] for record in records), (0, 1)),
    )
