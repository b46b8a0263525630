"""Runs that start from trained weights and lose what these knew, or keep it."""

import math

import pytest

from poise.config.objectives import Signals
from poise.diagnostics.judge import VerdictKind, judge
from poise.diagnostics.judge.forgetting import paired_loss
from tests.diagnostics.judge.test_judge import SIGNALS, healthy, uniform

Run = list[tuple[int, dict[str, float]]]
QUERIES = 1000
START = 60.0


def evaluation(knn: float, swapped: float = 4.0) -> dict[str, float]:
    """k-NN in percent; so many percent of the queries changed sides although nothing was lost."""
    lost = START - knn
    return {
        "eval/knn_top1": knn,
        "eval/knn_forgotten": swapped + max(lost, 0),
        "eval/knn_learned": swapped + max(-lost, 0),
        "eval/knn_queries": QUERIES,
    }


def warm(accuracies: dict[int, float], run: Run | None = None) -> Run:
    """A run of 1000 steps with evaluations at some of them, beside what else it logs."""
    entries: dict[int, dict[str, float]] = {0: {"start/knn_top1": START, "eval/knn_top1": START}}
    entries |= {step: dict(metrics) for step, metrics in run or healthy()}
    for step, knn in accuracies.items():
        entries[step] = entries.get(step, {}) | evaluation(knn)
    return sorted(entries.items())


def test_a_run_that_has_lost_half_of_what_its_start_knew_forgets() -> None:
    verdict = judge(warm({200: 58, 400: 40, 600: 31, 800: 30, 1000: 30}), SIGNALS, 1000)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.FORGETTING, 400)
    assert verdict.condemned and not verdict.collapsed
    assert verdict.evidence == (
        "Since step 400, the run has lost more than 10 % of the k-NN accuracy of its starting "
        "weights. At step 1000 the accuracy is 30.0 %. The starting weights had 60.0 % on the same "
        "1000 images. So 50 % of it is lost (95 % interval 44 % to 55 %)."
    )
    assert "lower optimizer.base_lr" in verdict.advice and "teacher_momentum" in verdict.advice


def test_a_run_that_keeps_or_improves_what_its_start_knew_is_healthy() -> None:
    for accuracies in ({500: 60.0, 1000: 60.0}, {500: 66.0, 1000: 71.0}, {500: 58.0, 1000: 57.0}):
        assert judge(warm(accuracies), SIGNALS, 1000).kind is VerdictKind.HEALTHY


def test_a_loss_within_its_interval_is_no_forgetting() -> None:
    few = [
        (step, metrics | ({"eval/knn_queries": 40.0} if "eval/knn_queries" in metrics else {}))
        for step, metrics in warm({500: 48.0, 1000: 48.0})
    ]
    assert judge(few, SIGNALS, 1000).kind is VerdictKind.HEALTHY
    assert judge(warm({500: 48.0, 1000: 48.0}), SIGNALS, 1000).kind is VerdictKind.FORGETTING


def test_one_evaluation_condemns_at_the_end_of_the_plan_alone() -> None:
    run = warm({500: 30.0})
    assert judge(run, SIGNALS, 2000).kind is VerdictKind.HEALTHY
    assert judge(warm({1000: 30.0}), SIGNALS, 1000).kind is VerdictKind.FORGETTING
    assert judge(warm({1000: 30.0}), SIGNALS, 2000).kind is VerdictKind.HEALTHY
    assert judge(warm({900: 30.0, 1000: 30.0}), SIGNALS, 2000).kind is VerdictKind.HEALTHY
    assert judge(warm({700: 30.0, 1000: 30.0}), SIGNALS, 2000).kind is VerdictKind.FORGETTING


def test_a_loss_that_heals_is_spared_until_the_plan_is_over() -> None:
    healing = warm({200: 30.0, 400: 35.0, 600: 42.0, 800: 44.0, 1000: 46.0})
    assert judge(healing, SIGNALS, 4000).kind is VerdictKind.HEALTHY
    assert judge(healing, SIGNALS, 1000).kind is VerdictKind.FORGETTING
    healed = warm({200: 30.0, 400: 42.0, 600: 55.0, 800: 58.0, 1000: 59.0})
    assert judge(healed, SIGNALS, 1000).kind is VerdictKind.HEALTHY


def test_a_run_that_may_still_learn_forgets_all_the_same() -> None:
    run = warm({600: 30.0, 1000: 28.0}, uniform())
    assert judge(run, SIGNALS, 100_000).kind is VerdictKind.UNDECIDED, (
        "too short a part of the plan"
    )
    verdict = judge(run, SIGNALS, 4000)
    assert verdict.kind is VerdictKind.FORGETTING


def test_forgetting_goes_before_a_collapse_and_names_it_and_divergence_goes_before_both() -> None:
    verdict = judge(warm({400: 30.0, 1000: 11.0}, uniform()), SIGNALS, 1000)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.FORGETTING, 400)
    assert "The run is also “collapsed: uniform”. Since step 20, the teacher" in verdict.evidence
    assert (
        "base_lr" in verdict.advice
        and "If this does not help, try the following. To sharpen more" in verdict.advice
    )
    kept = judge(warm({400: 60.0, 1000: 58.0}, uniform()), SIGNALS, 1000)
    assert kept.kind is VerdictKind.UNIFORM, "a collapsed head need not destroy the features"
    lost = [*warm({400: 30.0, 980: 11.0}), (1020, {"loss/total": math.nan})]
    assert judge(lost, SIGNALS, 1000).kind is VerdictKind.DIVERGED


def test_a_masked_autoencoder_forgets_too_and_its_advice_names_no_teacher() -> None:
    explains = [
        (step, {"loss/over_mean_patch": 0.5, "prediction/std_over_target": 0.7})
        for step in range(20, 1001, 20)
    ]
    verdict = judge(warm({500: 30.0, 1000: 25.0}, explains), Signals(reconstructs=True), 1000)
    assert verdict.kind is VerdictKind.FORGETTING
    assert "teacher" not in verdict.advice and "poise evaluate finetune" in verdict.advice


def test_a_run_from_random_weights_cannot_forget() -> None:
    run = [(0, {"untrained/knn_top1": START, "eval/knn_top1": START}), *healthy()]
    run += [(1000, {**run[-1][1], "eval/knn_top1": 5.0})]
    assert judge(run, SIGNALS, 1000).kind is VerdictKind.HEALTHY


@pytest.mark.parametrize(
    ("forgotten", "learned", "queries", "expected"),
    [
        (0.0, 0.0, 100, (-1.92, 1.92)),
        (10.0, 10.0, 1000, (-2.77, 2.77)),
        (30, 2, 1000, (24.9, 31.0)),
    ],
)
def test_the_interval_of_paired_answers_is_that_of_agresti_and_min(
    forgotten: float, learned: float, queries: int, expected: tuple[float, float]
) -> None:
    loss, *ends = paired_loss(forgotten, learned, queries)
    assert loss == forgotten - learned
    assert ends == pytest.approx(expected, abs=0.1)
