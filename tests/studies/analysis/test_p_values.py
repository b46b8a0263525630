import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from poise.studies.analysis.p_values import holm, paired_difference

FIGURES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=10)


def test_a_paired_difference_is_the_textbooks() -> None:
    # Differences 1, 2, 3: t = 2 / (1 / √3) = 3.4641, and with 2 degrees of freedom p = 0.0742.
    found = paired_difference({0: 11.0, 1: 22.0, 2: 33.0}, {0: 10.0, 1: 20.0, 2: 30.0})
    assert (found.value, found.n) == (2.0, 3)
    assert found.p == pytest.approx(0.07418, abs=1e-5)
    assert found.low == pytest.approx(2 - 4.30265 / math.sqrt(3), abs=1e-5)
    assert found.high == pytest.approx(2 + 4.30265 / math.sqrt(3), abs=1e-5)


def test_pairing_shows_what_seeds_would_hide() -> None:
    setting, baseline = {0: 11.0, 1: 31.1, 2: 51.2}, {0: 10.0, 1: 30.0, 2: 50.0}
    paired = paired_difference(setting, baseline)
    unpaired = stats.ttest_ind([*setting.values()], [*baseline.values()]).pvalue
    assert paired.p is not None and paired.p < 0.01 < 0.9 < unpaired


def test_only_seeds_that_both_have_are_compared() -> None:
    found = paired_difference({0: 1.0, 1: 2.0, 2: math.nan, 3: None}, {1: 1.5, 2: 1.0, 3: 1.0})
    assert (found.value, found.n) == (0.5, 1)
    assert found.p is None and found.low is None
    assert paired_difference({0: 1.0}, {1: 1.0}).value is None


def test_differences_that_are_all_alike_have_no_p_unless_there_are_none() -> None:
    baseline = {0: 10.1, 1: 20.2, 2: 30.3}
    same = paired_difference(baseline, baseline)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    shifted = paired_difference({seed: value + 0.7 for seed, value in baseline.items()}, baseline)
    assert shifted.value == pytest.approx(0.7) and shifted.p is None


def test_holm_is_worked_out_by_hand() -> None:
    # 3 × 0.01, then 2 × 0.04 = 0.08, then 1 × 0.03 raised to what comes before it.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, None, 0.6]) == [1.0, None, 1.0]
    assert holm([0.04, 0.01, None], comparisons=3) == pytest.approx([0.08, 0.03, None])
    assert holm([]) == []


@given(P_VALUES)
def test_holm_lies_between_nothing_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    corrected = [value for value in holm(p) if value is not None]
    assert len(corrected) == len(p)
    for before, after in zip(p, corrected, strict=True):
        assert before <= after <= min(1, len(p) * before) or after <= 1
        assert after >= before
    assert corrected[p.index(min(p))] == pytest.approx(min(1, len(p) * min(p)))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()
