"""Runs whose student is worse than knowing nothing: a teacher of momentum 0."""

from dataclasses import replace

from poise.config.objectives import Signals
from poise.diagnostics.judge import VerdictKind, judge
from tests.diagnostics.judge.test_judge import SIGNALS, constant, history, until


def test_a_teacher_and_a_student_that_disagree_by_more_than_ln_k_are_not_healthy() -> None:
    # As seen with momentum 0 on photographs: entropy 0.56, information 0.14, cross-entropy 1.13.
    run = history(constant(0.56), constant(0.14), lambda step: 0.57 if step % 60 == 0 else 0.3)
    verdict = judge(run, SIGNALS, planned_steps=1000)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.SWINGING, 60)
    assert "at 16 of 48 logged steps" in verdict.evidence and "113 %" in verdict.evidence
    assert "teacher_momentum" in verdict.advice and verdict.condemned and not verdict.collapsed


def test_a_copied_teacher_that_swings_is_named_in_the_advice() -> None:
    run = history(constant(0.56), constant(0.14), constant(0.6))
    copied = [(step, metrics | {"teacher/ema_gap": 0.0}) for step, metrics in run]
    assert "the same weights" in judge(copied, SIGNALS).advice


def test_a_run_that_swings_between_collapses_to_its_end_is_not_left_undecided() -> None:
    run = history(
        lambda step: (0.9, 0.1, 0.6, 0.5)[step // 20 % 4],
        lambda step: (0.0, 0.0, 0.3, 0.3)[step // 20 % 4],
        lambda step: (0.3, 0.01, 0.6, 0.1)[step // 20 % 4],
    )
    assert judge(run, SIGNALS, planned_steps=1000).kind is VerdictKind.SWINGING


def test_a_student_that_is_wrong_only_at_first_is_healthy() -> None:
    run = history(constant(0.6), constant(0.3), until(200, 0.6, 0.1))
    verdicts = [judge(run[:end], SIGNALS, planned_steps=1000) for end in range(1, len(run) + 1)]
    assert not any(verdict.condemned for verdict in verdicts)
    assert verdicts[-1].kind is VerdictKind.HEALTHY


def test_single_logs_above_ln_k_condemn_no_run() -> None:
    run = history(constant(0.6), constant(0.3), lambda step: 0.6 if step % 200 == 0 else 0.1)
    assert judge(run, SIGNALS).kind is VerdictKind.HEALTHY


def test_a_run_that_begins_to_swing_late_is_condemned_once_it_has_swung_for_long() -> None:
    run = history(constant(0.6), constant(0.3), until(600, 0.1, 0.6))
    kinds = [judge(run[:end], SIGNALS, planned_steps=1000).kind for end in (40, 50)]
    assert kinds == [VerdictKind.HEALTHY, VerdictKind.SWINGING]


def test_a_run_without_a_logged_kl_does_not_swing() -> None:
    run = history(constant(0.6), constant(0.3), constant(0.1))
    without = [
        (step, {name: value for name, value in metrics.items() if name != "teacher/kl"})
        for step, metrics in run
    ]
    assert judge(without, replace(Signals(num_prototypes=4096))).kind is VerdictKind.HEALTHY
