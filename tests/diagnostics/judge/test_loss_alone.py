"""Runs that logged a loss, and K, and nothing else."""

import math
from collections.abc import Callable

import pytest

from poise.config.objectives import Signals
from poise.diagnostics.history import History
from poise.diagnostics.judge import VerdictKind, judge

K = 4096
SIGNALS = Signals(num_prototypes=K)


def losses(
    share: Callable[[int], float], steps: int = 1000, entropy: float | None = None
) -> History:
    """A log every 20 steps; losses and entropies are shares of ln K."""
    ln_k = math.log(K)
    return [
        (
            step,
            {"loss/total": share(step) * ln_k, "loss/over_ln_k": share(step)}
            | ({} if entropy is None else {"teacher/entropy": entropy * ln_k}),
        )
        for step in range(20, steps + 1, 20)
    ]


def test_a_loss_that_never_leaves_ln_k_is_named_without_a_cause() -> None:
    verdict = judge(losses(lambda step: 1.0003), SIGNALS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.AT_LN_K, 20)
    assert verdict.condemned and not verdict.collapsed
    assert "The loss was never clearly below ln K." in verdict.evidence
    assert "Log the teacher's entropy" in verdict.advice


def test_a_loss_that_returns_to_ln_k_is_named_with_the_step_of_its_return() -> None:
    verdict = judge(losses(lambda step: 0.7 if step < 600 else 0.999), SIGNALS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.AT_LN_K, 600)
    assert "Before, it was lower." in verdict.evidence


def test_the_entropy_of_a_flat_teacher_names_the_cause() -> None:
    verdict = judge(losses(lambda step: 1.0, entropy=0.998), SIGNALS)
    assert verdict.kind is VerdictKind.UNIFORM
    assert "teacher's entropy has stayed at 99.8 % of ln K" in verdict.evidence
    assert "teacher_temp" in verdict.advice


def test_the_entropy_of_a_sharp_teacher_does_not_name_the_cause() -> None:
    assert judge(losses(lambda step: 1.0, entropy=0.5), SIGNALS).kind is VerdictKind.AT_LN_K


def test_a_loss_that_fell_to_0_is_named() -> None:
    verdict = judge(losses(lambda step: 0.9 if step < 200 else 0.002), SIGNALS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.NEAR_ZERO, 200)
    assert "0.20 %" in verdict.evidence


def test_a_run_whose_loss_is_often_above_ln_k_swings() -> None:
    verdict = judge(losses(lambda step: 1.2 if step % 60 == 0 else 0.8), SIGNALS)
    assert verdict.kind is VerdictKind.SWINGING


@pytest.mark.parametrize(
    ("usual", "odd", "told"),
    [
        (1.0, 0.95, "has stayed at 100.0 % of ln K at 49 of 50 logged steps."),
        (0.002, 0.3, "has been at most 0.2 % of ln K at 49 of 50 logged steps."),
    ],
)
def test_a_step_that_contradicts_the_verdict_is_not_denied(
    usual: float, odd: float, told: str
) -> None:
    evidence = judge(losses(lambda step: odd if step == 500 else usual), SIGNALS).evidence
    assert evidence.startswith(f"Since step 20, the loss {told}")


@pytest.mark.parametrize("share", [0.97, 0.6, 0.3, 0.12])
def test_a_loss_in_between_tells_nothing(share: float) -> None:
    verdict = judge(losses(lambda step: share), SIGNALS)
    assert verdict.kind is VerdictKind.CANNOT_TELL
    assert not verdict.condemned and verdict.onset_step is None
    assert "Both healthy and collapsed runs have such a loss" in verdict.evidence


def test_a_run_at_ln_k_gets_half_of_its_plan_to_begin() -> None:
    verdict = judge(losses(lambda step: 1.0), SIGNALS, planned_steps=4000)
    assert verdict.kind is VerdictKind.UNDECIDED
    assert "has time until step 2000" in verdict.evidence


def test_a_loss_that_still_falls_from_ln_k_is_not_condemned() -> None:
    verdict = judge(losses(lambda step: 1 - 0.0019 * (step / 1000) ** 2), SIGNALS)
    assert verdict.kind is VerdictKind.UNDECIDED
    assert "still falls" in verdict.evidence


def test_a_short_dip_to_0_is_undecided() -> None:
    verdict = judge(losses(lambda step: 0.5 if step < 980 else 0.01), SIGNALS)
    assert verdict.kind is VerdictKind.UNDECIDED


def test_a_loss_that_is_not_finite_at_the_end_has_diverged() -> None:
    run = [*losses(lambda step: 0.8), (1020, {"loss/total": math.nan, "loss/over_ln_k": math.nan})]
    verdict = judge(run, SIGNALS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.DIVERGED, 1020)


def test_a_single_nan_in_between_does_not_stop_the_verdict() -> None:
    run = losses(lambda step: math.nan if step == 500 else 1.0)
    assert judge(run, SIGNALS).kind is VerdictKind.AT_LN_K


def test_features_condemn_a_run_whose_loss_tells_nothing() -> None:
    run = [
        (step, {**metrics, "features/rankme": 50.0 if step < 400 else 3.0})
        for step, metrics in losses(lambda step: 0.6)
    ]
    assert judge(run, SIGNALS).kind is VerdictKind.DIMENSIONAL


def test_a_loss_is_not_read_where_entropies_are_logged() -> None:
    ln_k = math.log(K)
    run = [
        (step, {**metrics, "teacher/entropy": 0.4 * ln_k, "teacher/mutual_information": 0.4 * ln_k})
        for step, metrics in losses(lambda step: 0.01)
    ]
    assert judge(run, SIGNALS).kind is VerdictKind.HEALTHY


def test_a_decoder_without_a_relative_loss_tells_nothing() -> None:
    run: History = [(step, {"loss/total": 0.4}) for step in range(10, 1000, 10)]
    verdict = judge(run, Signals(reconstructs=True))
    assert verdict.kind is VerdictKind.CANNOT_TELL
    assert "loss/over_mean_patch" in verdict.evidence


def test_a_decoder_is_judged_without_the_spread_of_its_predictions() -> None:
    run: History = [(step, {"loss/over_mean_patch": 1.0}) for step in range(10, 1000, 10)]
    verdict = judge(run, Signals(reconstructs=True))
    assert verdict.kind is VerdictKind.PREDICTS_MEAN
    assert "standard deviation" not in verdict.evidence
