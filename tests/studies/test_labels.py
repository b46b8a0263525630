from typing import Any

import numpy as np
import pytest

from poise.studies.analysis.levels import levels_of
from poise.studies.findings.comparison import compare
from poise.studies.labels import apart, describe, plain
from tests.studies.builders import make_space, make_study
from tests.studies.samples import answered, seeded

MOMENTUM = "objective.teacher_momentum"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1.0, "1"),
        (0.99999, "0.99999"),
        (0.04, "0.04"),
        (1e-8, "1e-08"),
        (65536.0, "65536"),
        (16384, "16384"),
        ("adamw", "adamw"),
        (None, "None"),
        ((0.05, 0.2), "(0.05, 0.2)"),
    ],
)
def test_a_value_that_a_person_wrote_is_told_exactly(value: Any, told: str) -> None:
    assert plain(value) == told
    assert describe({MOMENTUM: value}) == f"teacher_momentum={told}"


def test_a_drawn_value_is_short_but_no_momentum_is_rounded_to_none_at_all() -> None:
    assert plain(0.0634512341234) == "0.0634512"
    assert plain(0.9999612341234567) == "0.9999612341"  # 3.87659e-05 lack to 1
    assert plain(0.1 + 0.2) == "0.3"
    drawn = np.random.RandomState(0).uniform(0.99, 1, 100).tolist()
    assert len({plain(value) for value in drawn}) == 100


def test_settings_that_differ_in_their_last_digit_differ_in_every_label() -> None:
    momenta = [0.9999, 0.99996, 0.99999, 1.0]
    space = make_space({MOMENTUM: {"grid_search": momenta}})
    records = [
        record
        for setting, value in enumerate(momenta)
        for record in seeded(
            setting, [20.0 + setting, 21.5 + setting, 22.0], settings={MOMENTUM: value}
        )
    ]
    expected = ("0.9999", "0.99996", "0.99999", "1")
    assert levels_of(space, MOMENTUM, records).labels == expected
    comparison = compare(make_study(space), records)
    assert [row.label for row in comparison.rows] == [f"teacher_momentum={v}" for v in expected]
    _, best = answered(make_study(space), records)
    assert best.startswith(
        "The best setting is t04 (teacher_momentum=1). Its k-NN accuracy is 23.2 %"
    )
    assert "The second best setting, t03 (teacher_momentum=0.99999), is" in best


def test_a_threshold_between_drawn_numbers_has_the_fewest_digits_that_keep_it_true() -> None:
    assert apart(0.0688374123456, 0.0706826123456) == ("0.069", "0.07")
    assert apart(0.0505712345678, 0.0507112345678) == ("0.0506", "0.0507")
    assert apart(0.9999612345678, 1.0) == ("0.99997", "1")
    assert apart(0.04, 0.0612345678901) == ("0.04", "0.061")
    assert apart(0.04, 0.07) == ("0.04", "0.07") and apart(0, 2) == ("0", "2")
    assert apart(-0.5123456789012, 0.0) == ("-0.51", "0")
