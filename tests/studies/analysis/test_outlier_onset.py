"""Outlier patches that appear at known steps."""

from collections.abc import Sequence

import pytest

from poise.diagnostics.history import History
from poise.studies.analysis.outlier_onset import METRIC, OUTLIERS_FROM, outlier_onset
from tests.studies.samples import trial_record


def history(shares: Sequence[float]) -> History:
    """Shares that are logged every ten steps, with an entry of something else between."""
    entries = [(10 * number, {METRIC: share}) for number, share in enumerate(shares, start=1)]
    return sorted([*entries, (15, {"loss/total": 1.0})])


def test_the_first_logged_step_and_the_share_of_seeds_are_found() -> None:
    records = [trial_record(setting, seed) for setting in (0, 1) for seed in (0, 1, 2)]
    histories = {
        "t01-s0": history([0, 0, 0.02, 0.001]),  # they vanish again
        "t01-s1": history([0, 0, 0, OUTLIERS_FROM]),
        "t01-s2": history([0, 0, 0.009, 0]),
        "t02-s0": history([0, 0]),
        "t02-s1": history([0, 0]),
        "t02-s2": [],  # no transformer
    }
    found = outlier_onset(records, histories)
    assert found is not None
    assert found.trials == {
        "t01-s0": 30, "t01-s1": 40, "t01-s2": None, "t02-s0": None, "t02-s1": None,
    }  # fmt: skip
    first, second = found.settings
    assert (first.appeared.count, first.appeared.n, first.onset_step) == (2, 3, 35)
    assert (second.appeared.count, second.appeared.n, second.onset_step) == (0, 2, None)
    assert first.latest.value == pytest.approx((0.001 + 0.01) / 3)


def test_a_trial_that_ended_early_without_outliers_proves_nothing() -> None:
    records = [
        trial_record(0, 0),
        trial_record(0, 1, state="stopped"),
        trial_record(0, 2, state="stopped"),
    ]
    histories = {
        "t01-s0": history([0, 0]), "t01-s1": history([0, 0]), "t01-s2": history([0, 0.5]),
    }  # fmt: skip
    found = outlier_onset(records, histories)
    assert found is not None
    assert (found.settings[0].appeared.count, found.settings[0].appeared.n) == (1, 2)


def test_a_study_without_outliers_says_so_only_where_it_asks() -> None:
    records, histories = [trial_record(0, 0)], {"t01-s0": history([0, 0])}
    assert outlier_onset(records, histories) is None
    assert outlier_onset(records, histories, ["eval/knn_top1", METRIC]) is not None
    assert outlier_onset(records, {}, [METRIC]) is None, "nothing was measured"
