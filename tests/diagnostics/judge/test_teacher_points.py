"""Sentences about the teacher say no more than its numbers."""

import math

import pytest

from poise.diagnostics.judge.limits import DEFAULT_LIMITS
from poise.diagnostics.judge.teacher_points import TeacherPoint, collapse_evidence, rule_words
from poise.diagnostics.judge.verdict import VerdictKind


def points(*entropies: float, information: float = 0.0) -> list[TeacherPoint]:
    return [
        TeacherPoint(8 * number, entropy, information, 0.1, None)
        for number, entropy in enumerate(entropies, start=1)
    ]


def evidence(kind: VerdictKind, tail: list[TeacherPoint]) -> str:
    return collapse_evidence(kind, tail, 1024, DEFAULT_LIMITS)


@pytest.mark.parametrize(
    ("lowest", "expected"),
    [
        (
            0.99,
            "Since step 8, the teacher has given all prototypes nearly the same probability, for "
            "every image. The teacher's entropy has stayed between 99.0 % and 100.0 % of ln K. The "
            "mutual information of image and prototype has been at most 0.00 % of ln K (the limit "
            "is 1 %).",
        ),
        (
            0.67,
            "Since step 8, the teacher has given every image nearly the same output. This output "
            "has been nearer to uniform than to a single prototype. The teacher's entropy has "
            "stayed between 67.0 % and 100.0 % of ln K.",
        ),
    ],
)
def test_only_an_entropy_near_its_maximum_is_called_even(lowest: float, expected: str) -> None:
    assert evidence(VerdictKind.UNIFORM, points(lowest, 1.0)).startswith(expected)


def test_few_prototypes_are_told_by_the_number_that_the_rule_tests() -> None:
    tail = points(0.055, 0.02, 0.006, information=0.06)
    assert evidence(VerdictKind.SINGLE_PROTOTYPE, tail) == (
        "Since step 8, the teacher has used few prototypes. The teacher's entropy has stayed "
        "between 0.6 % and 5.5 % of ln K. At step 24, the effective number of prototypes in use is "
        "about 1.58 of 1024. The limit for this verdict is 4."  # 1024^0.066 and 1024^0.2
    )
    partial = evidence(VerdictKind.PARTIAL_PROTOTYPES, points(0.2, 0.2, 0.2, information=0.1))
    assert partial.endswith("is about 8 of 1024. The limit for this verdict is 16.")


def test_a_step_with_more_information_than_the_limit_is_an_exception_among_many() -> None:
    tail = [*points(*[0.7] * 20), TeacherPoint(168, 0.7, 0.07, 0.1, None)]
    assert evidence(VerdictKind.UNIFORM, tail).endswith(
        "At 20 of 21 logged steps since then, the mutual information of image and prototype has "
        "been below its limit, 1 % of ln K."
    )


def test_a_step_that_contradicts_the_verdict_is_not_denied() -> None:
    tail = [*points(*[0.05] * 20), TeacherPoint(168, 0.5, 0.2, 0.1, None)]
    assert evidence(VerdictKind.SINGLE_PROTOTYPE, tail).startswith(
        "Since step 8, the teacher has used few prototypes at 20 of 21 logged steps."
    )


def test_an_output_that_was_once_nearer_to_the_other_end_is_not_denied() -> None:
    tail = points(*[0.7] * 20, 0.4)
    assert (
        "given every image nearly the same output. This output has been nearer to uniform than to "
        "a single prototype at 20 of 21 logged steps." in evidence(VerdictKind.UNIFORM, tail)
    )


@pytest.mark.parametrize(("used", "told"), [(999.4, "999"), (999.6, "1000"), (9.996, "10")])
def test_a_number_of_prototypes_is_never_written_with_an_exponent(used: float, told: str) -> None:
    tail = points(0.9, 0.03, 0.7, math.log(used) / math.log(1024))
    assert f"is about {told} of 1024." in evidence(VerdictKind.UNIFORM, tail)


def test_a_collapse_that_changes_its_kind_is_not_said_to_be_of_one_kind_all_the_time() -> None:
    tail = points(0.9, 0.03, 0.7, 0.8)
    assert (
        "the kind of collapse has changed. By the median of its entropy (75.0 % of ln K), it is "
        "nearer to uniform than to a single prototype." in evidence(VerdictKind.UNIFORM, tail)
    )
    assert rule_words(VerdictKind.UNIFORM, tail, DEFAULT_LIMITS) == (
        "the rules for different kinds of collapse (counted as “collapsed: uniform”)"
    )
    assert rule_words(VerdictKind.UNIFORM, tail[2:], DEFAULT_LIMITS) == (
        "the rule for “collapsed: uniform”"
    )
