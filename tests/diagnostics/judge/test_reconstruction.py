import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from poise.config.objectives import Signals
from poise.diagnostics.judge import Limits, VerdictKind, judge

SIGNALS = Signals(reconstructs=True)
History = list[tuple[int, dict[str, float]]]


def history(explained: Callable[[int], float], steps: int = 1000, every: int = 20) -> History:
    """A run by the share of variance that its decoder explains at each logged step."""
    return [
        (
            step,
            {
                "loss/total": 1 - explained(step),
                "loss/over_mean_patch": 1 - explained(step),
                "prediction/std_over_target": max(explained(step), 0) ** 0.5,
            },
        )
        for step in range(every, steps + 1, every)
    ]


def healthy() -> History:
    """Worse than the mean at first, as untrained predictions are, then learning."""
    return history(lambda step: -0.5 if step < 60 else min(0.4, (step - 200) / 1000))


def test_a_decoder_that_begins_worse_than_the_mean_and_learns_is_healthy() -> None:
    verdict = judge(healthy(), SIGNALS, planned_steps=1000)
    assert verdict.kind is VerdictKind.HEALTHY and not verdict.collapsed
    assert "40.0 %" in verdict.evidence and "step 1000" in verdict.evidence


def test_every_prefix_of_a_healthy_run_is_spared() -> None:
    run = healthy()
    kinds = [judge(run[:n], SIGNALS, planned_steps=1000).kind for n in range(1, len(run) + 1)]
    assert set(kinds) == {VerdictKind.UNDECIDED, VerdictKind.HEALTHY}


def test_a_decoder_that_never_explains_anything_predicts_the_mean() -> None:
    run = history(lambda step: -0.3 if step < 100 else 0.001)
    verdict = judge(run, SIGNALS, planned_steps=1000)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.PREDICTS_MEAN, 20)
    assert verdict.collapsed and "0.10 %" in verdict.evidence
    assert "optimizer.base_lr" in verdict.advice and "mask_ratio" in verdict.advice


def test_the_same_history_early_in_a_long_plan_is_undecided() -> None:
    run = history(lambda step: 0.001)
    assert judge(run, SIGNALS, planned_steps=100_000).kind is VerdictKind.UNDECIDED
    assert judge(run[:8], SIGNALS).kind is VerdictKind.UNDECIDED


def test_a_decoder_that_is_still_getting_better_is_undecided() -> None:
    run = history(lambda step: 0.009 * step / 1000)
    verdict = judge(run, SIGNALS)
    assert verdict.kind is VerdictKind.UNDECIDED and "still rises" in verdict.evidence


def test_a_slow_start_from_below_the_mean_is_waited_for_while_it_gains() -> None:
    """At a low learning rate a loss may still be above the mean's when half the plan is over."""
    gaining = history(lambda step: -0.6 + 0.5 * step / 1000)
    assert judge(gaining, SIGNALS).kind is VerdictKind.UNDECIDED
    settled = history(lambda step: -0.6 * math.exp(-step / 80) + 0.001 * math.sin(step))
    assert judge(settled, SIGNALS).kind is VerdictKind.PREDICTS_MEAN
    stuck_above = history(lambda step: -0.1 - 0.5 * math.exp(-step / 80))
    assert judge(stuck_above, SIGNALS).kind is VerdictKind.PREDICTS_MEAN


def test_falling_back_to_the_mean_is_condemned_before_the_plan_is_over() -> None:
    run = history(lambda step: 0.3 if step < 600 else 0.0)
    verdict = judge(run, SIGNALS, planned_steps=10_000)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.PREDICTS_MEAN, 600)


@pytest.mark.parametrize(
    ("usual", "odd", "told"),
    [
        (0.3, 0.0, "it has been better than a prediction of the mean patch at 49 of 50 logged"),
        (0.0, 0.3, "no better than a prediction of the mean patch at 49 of 50 logged steps. It "
                   "has explained at most 0.00 %"),
    ],
)  # fmt: skip
def test_a_step_that_contradicts_the_verdict_is_not_denied(
    usual: float, odd: float, told: str
) -> None:
    run = history(lambda step: odd if step == 500 else usual)
    assert told in judge(run, SIGNALS).evidence


def test_a_dip_at_the_very_end_is_undecided() -> None:
    run = history(lambda step: 0.3 if step < 980 else 0.0)
    assert judge(run, SIGNALS).kind is VerdictKind.UNDECIDED


def test_signals_decide_what_is_looked_at() -> None:
    run = healthy()
    assert judge(run, Signals(num_prototypes=8)).kind is VerdictKind.CANNOT_TELL
    assert judge(run, Signals()).kind is VerdictKind.UNDECIDED
    broken = [*run, (1020, {"prediction/std": float("nan")})]
    for signals in (Signals(), SIGNALS):
        verdict = judge(broken, signals)
        assert (verdict.kind, verdict.onset_step) == (VerdictKind.DIVERGED, 1020)


@pytest.mark.parametrize(
    ("share", "kind"), [(0.3, VerdictKind.HEALTHY), (0.5, VerdictKind.PREDICTS_MEAN)]
)
def test_limits_can_be_changed(share: float, kind: VerdictKind) -> None:
    limits = replace(Limits(), nothing_explained_share=share)
    assert judge(history(lambda step: 0.4), SIGNALS, limits=limits).kind is kind
