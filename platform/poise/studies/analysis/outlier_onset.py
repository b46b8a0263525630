"""When patches become outliers, and in how many seeds of each setting.

In: records, and the histories of their metrics. Out: ``OutlierOnset``. Next:
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
"""Share of outlier patches from which on a trial has outliers. Published: 0.024."""


@dataclass(frozen=True)
class SettingOutliers:
    """Outlier patches of one setting's trials."""

    setting: int
    appeared: Share
    """Trials that had outliers at some step, of those that had some or trained to their end."""

    onset_step: float | None
    """Median of the first logged steps with outliers; None if no trial had outliers."""

    latest: Estimate
    """Mean over trials of the last share that was logged, from 0 to 1."""


@dataclass(frozen=True)
class OutlierOnset:
    """Outlier patches of every setting."""

    settings: tuple[SettingOutliers, ...]
    trials: Mapping[str, int | None]
    """First logged step with outliers by trial; None for a trial without outliers."""


def outlier_onset(
    records: Sequence[TrialRecord],
    histories: Mapping[str, History],
    goals: Sequence[str] = (),
) -> OutlierOnset | None:
    """Finds the first logged step at which 1 % of patches are outliers, of every trial.

    Args:
        records: records of the study's trials, in any state.
        histories: the metrics of each trial over its steps, by the trial's name.
        goals: metrics that the study compares.

    Returns:
        None if no trial has outliers and the study does not ask for them, or if no trial has
        patches.
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
