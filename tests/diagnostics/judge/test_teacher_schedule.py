"""Advice that depends on the teacher's momentum and temperature."""

import struct

import pytest

from poise.diagnostics.history import History
from poise.diagnostics.judge import VerdictKind, judge
from tests.diagnostics.judge.test_judge import LN_K, SIGNALS, constant, history, uniform

SLOWER = (
    "Let the teacher change more slowly: raise objective.teacher_momentum (published value 0.996)."
)


def scheduled(run: History, momentum: float, temperature: float) -> History:
    """A run that also logged its teacher's momentum at first, and its temperature."""
    schedule = {"schedule/teacher_momentum": momentum, "schedule/teacher_temp": temperature}
    return [(step, {**metrics, **schedule}) for step, metrics in run]


def test_a_uniform_teacher_gets_no_advice_to_change_what_is_usual_already() -> None:
    warm = judge(scheduled(uniform(), 0.99, 0.2), SIGNALS).advice
    assert warm.startswith("To sharpen more, lower objective.teacher_temp")
    assert "teacher_momentum" not in warm and "base_lr" not in warm
    for published in (0.04, 0.07):
        usual = judge(scheduled(uniform(), 0.99, published), SIGNALS).advice
        assert "The teacher's temperature is not above the published values" in usual
        assert "lower objective.teacher_temp" not in usual and "base_lr" in usual
    unknown = judge(uniform(), SIGNALS).advice
    assert "If the temperature is already in this range, lower optimizer.base_lr" in unknown


def test_a_teacher_that_follows_too_fast_at_first_is_named_in_the_advice() -> None:
    # Its momentum rises, so its weights are not its student's at the end.
    fast = judge(scheduled(uniform(), 0.0, 0.04), SIGNALS)
    assert fast.advice == SLOWER
    assert fast.evidence.endswith("At step 20, the teacher's momentum was 0.")
    both = judge(scheduled(uniform(), 0.5, 0.2), SIGNALS).advice
    assert both.index("teacher_momentum") < both.index("lower objective.teacher_temp")
    single = history(constant(0.01), constant(1e-6), constant(0.02))
    told = judge(scheduled(single, 0.0, 0.04), SIGNALS).advice
    assert told.index("teacher_momentum") < told.index("center_momentum")
    assert "teacher_momentum" not in judge(scheduled(single, 0.9, 0.04), SIGNALS).advice


def test_trials_with_other_momenta_get_the_same_advice_so_that_a_study_lists_it_once() -> None:
    verdicts = [
        judge(scheduled(uniform(), momentum, 0.2), SIGNALS) for momentum in (0.0, 0.5, 0.897)
    ]
    assert len({verdict.advice for verdict in verdicts}) == 1
    assert [verdict.evidence.rpartition(" ")[2] for verdict in verdicts] == ["0.", "0.5.", "0.897."]


def test_a_momentum_of_09_that_was_stored_with_few_digits_is_not_low() -> None:
    (stored,) = struct.unpack("f", struct.pack("f", 0.9))
    assert stored < 0.9
    assert "momentum" not in judge(scheduled(uniform(), stored, 0.04), SIGNALS).evidence


def of_losses(share: float, **metrics: float) -> History:
    """A run that logged no marginal entropy."""
    named = {name.replace("__", "/"): value for name, value in metrics.items()}
    return [(step, {"loss/over_ln_k": share, **named}) for step in range(20, 1001, 20)]


def lost_dimensions() -> History:
    return [
        (step, {**metrics, "features/rankme": 60.0 if step < 400 else 6.0})
        for step, metrics in history(constant(0.8), constant(0.15), constant(0.05))
    ]


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (of_losses(1.2), VerdictKind.SWINGING),
        (of_losses(1.0, teacher__entropy=0.998 * LN_K), VerdictKind.UNIFORM),
        (lost_dimensions(), VerdictKind.DIMENSIONAL),
    ],
)
def test_a_momentum_of_0_is_named_whatever_shows_the_failure(
    run: History, kind: VerdictKind
) -> None:
    verdict = judge(scheduled(run, 0.0, 0.04), SIGNALS)
    assert verdict.kind is kind
    assert verdict.advice.startswith(SLOWER)
    assert verdict.evidence.endswith("At step 20, the teacher's momentum was 0.")
