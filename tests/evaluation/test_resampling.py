"""Resampled sums, whose spread is known."""

import numpy as np
import pytest

from poise.evaluation import resampling
from poise.evaluation.resampling import middle_95, resampled_sums


def test_a_resample_has_as_many_units_and_a_bootstraps_spread() -> None:
    values = np.random.default_rng(1).normal(size=400)
    sums = resampled_sums(np.column_stack([np.ones(400), values]), 4000)
    assert (sums[:, 0] == 400).all()
    means = sums[:, 1] / 400
    assert means.mean() == pytest.approx(values.mean(), abs=3e-3)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.05)
    low, high = middle_95(means)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


def test_parts_that_fit_the_memory_draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(1).normal(size=(50, 3))
    expected = resampled_sums(rows, 100)
    monkeypatch.setattr(resampling, "_DRAWS_AT_ONCE", 7 * 50)
    np.testing.assert_allclose(resampled_sums(rows, 100), expected)
