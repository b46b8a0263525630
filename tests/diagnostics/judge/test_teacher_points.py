"""Sentences about the teacher say no more than its numbers."""

import pytest

from poise.diagnostics.judge.teacher_points import TeacherPoint, collapse_evidence
from poise.diagnostics.judge.verdict import VerdictKind


@pytest.mark.parametrize(
    ("lowest", "expected"),
    [
        (0.99, "Since step 8 the teacher spreads every image evenly over the prototypes."),
        (
            0.67,
            "Since step 8 the teacher gives every image nearly the same output, nearer to uniform "
            "than to one prototype.",
        ),
    ],
)
def test_only_an_entropy_near_its_maximum_is_called_even(lowest: float, expected: str) -> None:
    points = [
        TeacherPoint(step, entropy, 0.0, 0.1, None) for step, entropy in ((8, lowest), (16, 1.0))
    ]
    assert collapse_evidence(VerdictKind.UNIFORM, points, 1024).startswith(expected)
