"""Curves at their landmarks. The published arrays are in tests/parity."""

import pytest

from poise.objectives.schedules import Warmup, cosine, linear_then_constant


def test_published_learning_rate_of_vit_small_meets_its_landmarks() -> None:
    total, warmup = 100 * 2502, 10 * 2502
    lr = [
        cosine(step, total, 1e-3, 1e-6, Warmup(warmup))
        for step in (0, 1, warmup - 1, warmup, total - 1)
    ]
    assert lr == pytest.approx([0, 3.99696e-8, 1e-3, 1e-3, 1.0000000486e-6], rel=1e-5)


def test_momentum_is_halfway_in_the_middle_and_almost_one_at_the_end() -> None:
    assert cosine(125100, 250200, 0.996, 1.0) == pytest.approx(0.998)
    assert cosine(250199, 250200, 0.996, 1.0) == pytest.approx(1, abs=1e-12)


def test_temperature_reaches_its_end_in_the_last_warmup_epoch_and_stays() -> None:
    curve = [linear_then_constant(epoch, 0.04, 0.07, 4) for epoch in range(6)]
    assert curve == pytest.approx([0.04, 0.05, 0.06, 0.07, 0.07, 0.07])


def test_a_single_warmup_step_starts_at_the_start() -> None:
    assert cosine(0, 10, 1.0, 0.0, Warmup(1, start=0.2)) == 0.2
    assert linear_then_constant(0, 0.04, 0.07, 1) == 0.04
