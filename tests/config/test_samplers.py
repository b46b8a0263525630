"""Samplers that Tune would not draw from, or would draw something else from."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from poise.config import Space
from poise.config.samplers import Sampler, every_setting

KEY = "optimizer.base_lr"


def sampler(written: Any) -> Sampler:
    tree = {"name": "a", "recipe": "b.yaml", "parameters": {KEY: written}}
    return Space.model_validate(tree).parameters[KEY]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"quniform": [0, 1, 0]}, "quniform needs a step above 0, got [0, 1, 0]"),
        ({"quniform": [0, 1, -0.5]}, "needs a step above 0"),
        ({"quniform": [0, 1, 0.3]}, "multiples of its step, which 1 is not of 0.3"),
        ({"quniform": [0.1, 1, 0.25]}, "multiples of its step, which 0.1 is not of 0.25"),
        ({"qloguniform": [0, 1, 0.5]}, "needs a low end above 0"),
        ({"qloguniform": [0.3, 1, 0.25]}, "which 0.3 is not of 0.25"),
        ({"quniform": [0, 1e300, 1e-300]}, "needs ends that are multiples of its step"),
        ({"randn": [0, 0]}, "needs a standard deviation above 0"),
        ({"randn": [0, -1]}, "needs a standard deviation above 0"),
        ({"uniform": [1, 1]}, "needs a low end below its high end"),
        ({"loguniform": [-1, 1]}, "needs a low end above 0"),
        ({"lograndint": [0, 4]}, "needs a low end above 0"),
        ({"randint": [0.5, 3]}, "takes whole numbers, got [0.5, 3]"),
        ({"randint": [0, 2.0]}, "takes whole numbers"),
        ({"randint": [0, 10**30]}, "takes whole numbers up to 9223372036854775807"),
        ({"uniform": [0, math.inf]}, "takes finite numbers"),
        ({"uniform": [math.nan, 1]}, "takes finite numbers"),
        ({"uniform": [-1.5e308, 1.5e308]}, "needs ends that are less far apart"),
        ({"uniform": [False, True]}, "takes numbers"),
        ({"uniform": ["0", 1]}, "takes numbers"),
        ({"choice": [0.04, "0.04"]}, "has 0.04 and '0.04', one as text; keep the one"),
        ({"grid_search": ["4e-2", 0.04]}, "has '4e-2' and 0.04, one as text"),
        ({"choice": [None, "null"]}, "has None and 'null', one as text"),
        ({"choice": [1, True]}, "has a value twice in [1, True]"),
        ({"choice": []}, "needs a list of values, got []"),
        ({"choice": {"a": 1}}, "needs a list of values"),
        ({"name": "uniform", "arguments": [0.5, 0.1]}, "needs a low end below its high end"),
        ({"name": "choice", "arguments": [[1, 1]]}, "has a value twice"),
        ({"name": "zzz", "arguments": []}, "Ray Tune has no sampler 'zzz'"),
        ({"name": ["uniform"], "arguments": []}, "Ray Tune has no sampler '['uniform']'"),
    ],
)
def test_a_sampler_that_cannot_draw_is_refused_with_its_key_and_values(
    written: Any, expected: str
) -> None:
    with pytest.raises(ValidationError) as error:
        sampler(written)
    assert f"'{KEY}'" in str(error.value) and expected in str(error.value)


@pytest.mark.parametrize(
    ("written", "every"),
    [
        ({"choice": ["a", None]}, ["a", None]),
        ({"randint": [2, 5]}, [2, 3, 4]),
        ({"quniform": [0.5, 1, 0.25]}, [0.5, 0.75, 1.0]),
        ({"quniform": [-0.3, 0.3, 0.3]}, [-0.3, 0.0, 0.3]),
    ],
)
def test_a_sampler_of_few_values_lists_them(written: Any, every: list[Any]) -> None:
    made = sampler(written)
    assert list(made.every()) == every and made.count == len(every)
    assert [each[KEY] for each in every_setting({KEY: made})] == every
    assert all(made.gives(value) for value in every)


@pytest.mark.parametrize(
    ("written", "value", "is_given"),
    [
        ({"choice": [1, 2]}, True, False),
        ({"choice": [1, 2]}, "1", False),
        ({"choice": [1, 2]}, 1.0, True),
        ({"uniform": [0, 1]}, 1.5, False),
        ({"uniform": [0, 1]}, "0.5", False),
        ({"uniform": [0, 1]}, True, False),
        ({"uniform": [0, 1]}, 0.5, True),
        ({"randint": [0, 4]}, 4, False),
        ({"randint": [0, 4]}, 3.0, False),
        ({"quniform": [0, 1, 0.25]}, 0.3, False),
        ({"randn": [0, 1]}, 17.5, True),
        ({"randn": [0, 1]}, math.nan, False),
    ],
)
def test_a_sampler_knows_which_values_it_can_draw(written: Any, value: Any, is_given: bool) -> None:
    assert sampler(written).gives(value) is is_given
