import numpy as np
import pytest

from poise.evaluation.bootstrap import jackknife_interval, mean_interval, resampled_interval


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution_for_many_values() -> None:
    values = np.random.default_rng(1).normal(50, 10, 4000)
    found = mean_interval(values)
    assert found is not None
    half = 1.96 * values.std() / len(values) ** 0.5
    assert found == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert found == mean_interval(values), "the resamples are always the same"


def test_one_value_has_no_interval() -> None:
    assert mean_interval([3.0]) is None


def test_every_group_keeps_its_size_when_rows_are_drawn_anew() -> None:
    groups = [np.arange(5), np.arange(5, 7)]
    seen: list[tuple[int, int]] = []

    def statistic(rows: np.ndarray) -> float:
        seen.append((int((rows < 5).sum()), int((rows >= 5).sum())))
        return float(rows.mean())

    low, high = resampled_interval(groups, statistic, 50)
    assert set(seen) == {(5, 2)}
    assert low < 3 < high


def test_leaving_blocks_out_gives_the_interval_of_a_mean_too() -> None:
    values = np.random.default_rng(1).normal(50, 10, 4000)
    low, high = jackknife_interval([np.arange(4000)], lambda rows: float(values[rows].mean()), 50)
    half = 1.96 * values.std() / len(values) ** 0.5
    assert (low + high) / 2 == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(half, rel=0.3)


def test_a_group_with_one_row_is_never_left_out() -> None:
    seen: set[int] = set()

    def statistic(rows: np.ndarray) -> float:
        seen.add(int((rows == 9).sum()))
        return float(rows.mean())

    jackknife_interval([np.arange(8), np.array([9])], statistic, 4)
    assert seen == {1}
