"""Runs whose teacher keeps its untrained weights, or has its student's: momentum 1 and 0."""

import pytest

from poise.diagnostics.judge import VerdictKind, judge
from tests.diagnostics.judge.test_judge import SIGNALS, constant, history, uniform

Run = list[tuple[int, dict[str, float]]]


def moving(run: Run, update_size: float, gap: float = 0.3) -> Run:
    weights = {"teacher/update_size": update_size, "teacher/ema_gap": gap}
    return [(step, metrics | weights) for step, metrics in run]


def well() -> Run:
    return history(constant(0.7), constant(0.2), constant(0.1))


def test_a_teacher_that_never_moved_is_not_healthy_however_well_it_tells_images_apart() -> None:
    verdict = judge(moving(well(), 0.0), SIGNALS, planned_steps=1000)
    assert verdict.kind is VerdictKind.UNMOVED_TEACHER
    assert verdict.condemned and not verdict.collapsed
    assert "The teacher has not moved since step 0" in verdict.evidence
    assert "0.3 of the norm" in verdict.evidence
    assert "Lower objective.teacher_momentum" in verdict.advice


def test_a_teacher_that_hardly_moved_is_not_healthy_either() -> None:
    verdict = judge(moving(well(), 1e-6), SIGNALS)
    assert verdict.kind is VerdictKind.UNMOVED_TEACHER
    assert "at most 0.33 % of the way to its student" in verdict.evidence


@pytest.mark.parametrize("update_size", [1e-5, 1e-3])
def test_a_teacher_that_moves_slowly_is_judged_by_its_outputs(update_size: float) -> None:
    assert judge(moving(well(), update_size), SIGNALS).kind is VerdictKind.HEALTHY


def test_a_teacher_that_moved_early_and_rests_as_its_momentum_reaches_1_is_healthy() -> None:
    early, late = moving(well()[:10], 1e-3), moving(well()[10:], 0.0)
    assert judge([*early, *late], SIGNALS).kind is VerdictKind.HEALTHY


def test_an_unmoved_teacher_is_the_cause_whatever_its_outputs_look_like() -> None:
    assert judge(moving(uniform(), 0.0), SIGNALS).kind is VerdictKind.UNMOVED_TEACHER


def test_a_teacher_gets_a_quarter_of_the_plan_to_move() -> None:
    run = moving(well(), 0.0)
    kinds = [judge(run[:end], SIGNALS, planned_steps=1000).kind for end in (12, 13)]
    assert kinds == [VerdictKind.HEALTHY, VerdictKind.UNMOVED_TEACHER]


def test_a_teacher_whose_student_does_not_learn_either_is_no_unmoved_one() -> None:
    # A learning rate of nearly 0: the teacher has nothing to follow, and the advice is another.
    run = moving(history(constant(0.8), constant(0.15), constant(0.2)), 0.0, gap=1e-6)
    assert judge(run, SIGNALS).kind is VerdictKind.STUCK


def test_a_teacher_that_is_its_student_is_not_healthy_however_well_it_tells_images_apart() -> None:
    run = moving(well(), 2e-3, gap=0.0)
    kinds = [judge(run[:end], SIGNALS, planned_steps=1000).kind for end in (12, 13)]
    assert kinds == [VerdictKind.HEALTHY, VerdictKind.COPIED_TEACHER]
    verdict = judge(run, SIGNALS)
    assert "At all 50 logged steps up to step 1000" in verdict.evidence
    assert "Raise objective.teacher_momentum" in verdict.advice


def test_a_teacher_that_parts_from_its_student_later_is_judged_by_its_outputs() -> None:
    run = [*moving(well()[:10], 2e-3, gap=0.0), *moving(well()[10:], 1e-3, gap=0.05)]
    assert judge(run, SIGNALS).kind is VerdictKind.HEALTHY


def test_a_collapse_is_named_before_the_copied_teacher_that_caused_it() -> None:
    verdict = judge(moving(uniform(), 2e-3, gap=0.0), SIGNALS)
    assert verdict.kind is VerdictKind.UNIFORM and "the same weights" in verdict.advice
