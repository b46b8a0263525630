"""What an unknown name is answered with."""

import pytest

from poise.config.keys import nearest

NAMES = ["eval/knn_top1", "objective.teacher_temp"]


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("teacher_temp", "objective.teacher_temp"),
        ("objective.teacher_tmp", "objective.teacher_temp"),
        ("knn", "eval/knn_top1"),
    ],
)
def test_the_nearest_is_of_the_same_last_part_or_alike_or_has_it_as_a_piece(
    written: str, named: str
) -> None:
    assert nearest(written, NAMES) == f"; did you mean '{named}'?"


@pytest.mark.parametrize("written", ["", "t", "to", "eval/t"])
def test_a_letter_or_two_that_many_names_have_point_at_none(written: str) -> None:
    assert nearest(written, ["objective.teacher_temp"]) == ""
