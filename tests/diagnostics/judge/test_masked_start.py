"""Starts of masked runs: features shrink until the decoder begins to explain patches."""

from collections.abc import Callable

import pytest

from poise.config.objectives import Signals
from poise.diagnostics.judge import VerdictKind, judge

SIGNALS = Signals(reconstructs=True)
PLANNED_STEPS = 192
Run = list[tuple[int, dict[str, float]]]
Curve = Callable[[int], float]


def run_of(
    rank: Curve, explained: Curve, spread: Curve, steps: int = PLANNED_STEPS, every: int = 16
) -> Run:
    """A masked run by its RankMe, and by what its decoder explains and how much it varies."""
    return [
        (
            step,
            {
                "loss/total": 1 - explained(step),
                "loss/over_mean_patch": 1 - explained(step),
                "prediction/std_over_target": spread(step),
                "features/rankme": rank(step),
            },
        )
        for step in [1, *range(every, steps + 1, every)]
    ]


def resting(step: int, begins: int = 112) -> float:
    """What a decoder explains that rests at the mean patch before it begins."""
    return -1.2 if step < 16 else -0.002 if step < begins else 0.05


def healthy(every: int = 16, begins: int = 112) -> Run:
    """As seen on 1,024 images: RankMe falls to 17 % of its first value, and regains half of it."""
    return run_of(
        lambda step: 16.5 if step < 16 else 2.8 if step < begins - 16 else 9.0,
        lambda step: resting(step, begins),
        lambda step: 0.034 if step < begins else 0.2,
        every=every,
    )


def condemned(run: Run) -> list[tuple[int, VerdictKind]]:
    """Logged steps at which the run would have been condemned, and how."""
    verdicts = [
        (run[end - 1][0], judge(run[:end], SIGNALS, PLANNED_STEPS))
        for end in range(1, len(run) + 1)
    ]
    return [(step, verdict.kind) for step, verdict in verdicts if verdict.condemned]


@pytest.mark.parametrize("every", [1, 4, 8, 16, 32])
def test_features_that_shrink_while_the_decoder_learns_the_mean_are_no_collapse(every: int) -> None:
    run = healthy(every)
    assert condemned(run) == []
    assert judge(run, SIGNALS, PLANNED_STEPS).kind is VerdictKind.HEALTHY


def test_a_decoder_that_rests_at_the_mean_beyond_half_its_plan_is_waited_for() -> None:
    run = healthy(every=4, begins=160)
    assert condemned(run) == []
    verdict = judge(run[:33], SIGNALS, PLANNED_STEPS)
    assert verdict.kind is VerdictKind.UNDECIDED
    assert "still differ between patches. It has time until step 192" in verdict.evidence


def test_a_decoder_that_rests_at_the_mean_until_its_plan_is_over_predicts_the_mean() -> None:
    run = healthy(every=4, begins=1000)
    assert condemned(run) == [(PLANNED_STEPS, VerdictKind.PREDICTS_MEAN)]


def test_a_decoder_at_the_mean_with_constant_predictions_predicts_it_from_half_the_plan() -> None:
    run = run_of(lambda step: 16.5, resting, lambda step: 0.001, steps=104, every=4)
    assert condemned(run)[0] == (PLANNED_STEPS / 2, VerdictKind.PREDICTS_MEAN)


def test_lost_features_below_constant_predictions_are_condemned_early() -> None:
    run = run_of(lambda step: 16.5 if step < 16 else 1.7, resting, lambda step: 0.001, every=8)
    step, kind = condemned(run)[0]
    assert kind is VerdictKind.DIMENSIONAL and step <= PLANNED_STEPS / 5


def test_features_that_are_lost_after_the_decoder_has_begun_are_a_collapse() -> None:
    def rank(step: int) -> float:
        return 16.5 if step < 128 else 2.0

    run = run_of(rank, lambda step: -1.0 if step < 32 else 0.1, lambda step: 0.3)
    verdict = judge(run, SIGNALS, PLANNED_STEPS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.DIMENSIONAL, 128)
    assert condemned(run)[0][0] == 160


def test_features_that_stay_lost_when_the_decoder_begins_are_a_collapse_from_that_step() -> None:
    run = run_of(lambda step: 16.5 if step < 16 else 2.8, resting, lambda step: 0.1)
    verdict = judge(run, SIGNALS, PLANNED_STEPS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.DIMENSIONAL, 112)


def test_a_log_without_the_spread_of_predictions_spares_the_features_until_the_start() -> None:
    run = healthy()
    for _, metrics in run:
        del metrics["prediction/std_over_target"]
    assert condemned(run) == []
