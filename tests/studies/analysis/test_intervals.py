import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from poise.studies.analysis.intervals import mean_interval, rank_correlation, share_interval

FIGURES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=10)


def test_an_interval_is_the_textbooks() -> None:
    # 1, 2, 3: s = 1, and t(0.975, 2) = 4.30265.
    found = mean_interval([1.0, 2.0, 3.0])
    assert found.value == 2 and found.n == 3
    assert found.low == pytest.approx(2 - 4.30265 / math.sqrt(3), abs=1e-5)
    assert found.high == pytest.approx(2 + 4.30265 / math.sqrt(3), abs=1e-5)


def test_what_cannot_be_known_is_none() -> None:
    assert mean_interval([]) == mean_interval([None, math.nan, math.inf])
    assert mean_interval([]).value is None
    alone = mean_interval([5.0, None])
    assert (alone.value, alone.low, alone.high, alone.n) == (5.0, None, None, 1)


def test_values_that_are_all_alike_have_an_interval_of_no_width() -> None:
    found = mean_interval([0.1 + 0.2, 0.3, 0.3])
    assert found.low == found.high == found.value


@given(FIGURES)
def test_an_interval_holds_its_mean(figures: list[float]) -> None:
    found = mean_interval(figures)
    assert found.value is not None and found.low is not None and found.high is not None
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(np.mean(figures), abs=1e-9)


@pytest.mark.slow
def test_an_interval_holds_the_truth_95_times_in_100() -> None:
    random = np.random.default_rng(0)
    found = [mean_interval(random.normal(3, 2, 4)) for _ in range(2000)]
    held = sum(each.low <= 3 <= each.high for each in found)  # type: ignore[operator]
    assert 0.935 < held / 2000 < 0.965


def test_shares_have_the_exact_interval() -> None:
    # All of n: the low end solves x^n = 0.025.
    assert share_interval(3, 3).low == pytest.approx(0.025 ** (1 / 3))
    assert share_interval(3, 3).high == 1
    assert share_interval(0, 3).high == pytest.approx(1 - 0.025 ** (1 / 3))
    nothing = share_interval(0, 0)
    assert (nothing.value, nothing.low, nothing.high) == (None, 0, 1)


@settings(deadline=None)  # scipy loads the test when it is first asked for
@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_ends_of_an_exact_interval_leave_2_5_percent_on_each_side(
    pair: tuple[int, int],
) -> None:
    count, n = pair
    share = share_interval(count, n)
    assert share.low is not None and share.high is not None
    assert share.low <= count / n <= share.high
    if count > 0:
        assert stats.binom.sf(count - 1, n, share.low) == pytest.approx(0.025, rel=1e-4)
    if count < n:
        assert stats.binom.cdf(count, n, share.high) == pytest.approx(0.025, rel=1e-4)


def test_a_rank_correlation_is_the_textbooks() -> None:
    # 1 - 6 Σd² / n(n² - 1), with Σd² = 4
    found = rank_correlation([1, 2, 3, 4, 5], [20, 10, 40, 30, 50])
    assert found.value == pytest.approx(1 - 6 * 4 / (5 * 24)) and found.n == 5


def test_ranks_that_say_nothing_have_no_correlation() -> None:
    assert rank_correlation([1, 2], [1, 2]).value is None
    assert rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]).value is None
    found = rank_correlation([1, 2, None, 3], [3, 2, 5, math.nan])
    assert (found.value, found.n) == (None, 2)


def test_an_interval_ends_where_no_value_can_lie() -> None:
    wide = mean_interval([31.0, 97.0], (0, 100))
    assert (wide.value, wide.low, wide.high) == (64, 0, 100)
