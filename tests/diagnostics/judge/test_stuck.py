"""Runs whose teacher is well, but whose student never follows it."""

from dataclasses import replace

import pytest

from poise.diagnostics.history import History
from poise.diagnostics.judge import VerdictKind, judge
from tests.diagnostics.judge.test_judge import SIGNALS, constant, history


def test_a_long_warm_up_is_waited_for_before_a_run_is_stuck() -> None:
    run = history(constant(0.8), constant(0.15), constant(0.2), steps=300)
    assert judge(run, SIGNALS, planned_steps=1000).kind is VerdictKind.STUCK
    patient = replace(SIGNALS, warmup_share=0.5)
    assert judge(run, patient, planned_steps=1000).kind is VerdictKind.HEALTHY


def test_a_student_that_never_follows_a_teacher_that_is_well_is_stuck_at_ln_k() -> None:
    run = history(constant(0.8), constant(0.15), constant(0.2))
    verdict = judge(run, SIGNALS, planned_steps=2000)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.STUCK, 20)
    assert not verdict.collapsed and verdict.condemned
    assert "optimizer.base_lr" in verdict.advice
    assert judge(run, SIGNALS, planned_steps=5000).kind is VerdictKind.HEALTHY


@pytest.mark.parametrize(("at_510", "kind"), [(1.0, VerdictKind.STUCK), (0.8, VerdictKind.HEALTHY)])
def test_a_loss_between_two_steps_with_entropies_shows_that_a_student_followed(
    at_510: float, kind: VerdictKind
) -> None:
    rare = dict(history(constant(0.8), constant(0.15), constant(0.2), every=100))
    run: History = [
        (step, {"loss/over_ln_k": at_510 if step == 510 else 1.0, **rare.get(step, {})})
        for step in range(10, 1001, 10)
    ]
    assert judge(run, SIGNALS).kind is kind
