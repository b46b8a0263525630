from typing import Any

import pytest
from pydantic import ValidationError

from poise.config import Space
from poise.config.metrics import HIGHER_IS_BETTER, LOWER_IS_BETTER, METRICS


def space(**parameters: Any) -> Space:
    keys = {key.replace("__", "."): value for key, value in parameters.items()}
    return Space.model_validate({"name": "a", "recipe": "b.yaml", "parameters": keys})


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"unifrom": [0, 1]}, "Ray Tune has no sampler 'unifrom'; did you mean 'uniform'?"),
        ({"zzz": [0, 1]}, "there are grid_search, choice,"),
        ({"uniform": [0, 1, 2]}, "uniform takes 2 values"),
        ({"uniform": [0.5, 0.1]}, "needs a low end below its high end, got [0.5, 0.1]"),
        ({"uniform": ["a", "b"]}, "uniform takes numbers"),
        ({"loguniform": [0, 1]}, "needs a low end above 0"),
        ({"choice": 3}, "choice needs a list of values, got 3"),
        ({"choice": [1], "uniform": [1, 2]}, "must be one sampler with its values"),
        (0.1, "must be one sampler with its values"),
    ],
)
def test_a_sampler_that_tune_would_not_take_names_its_key(written: Any, expected: str) -> None:
    with pytest.raises(ValidationError) as error:
        space(training__epochs=written)
    message = str(error.value)
    assert expected in message and "'training.epochs'" in message


def test_a_space_survives_being_written_down() -> None:
    written = space(a__b={"choice": [1, [2, 3]]}, a__c={"quniform": [0, 1, 0.5]})
    again = Space.model_validate(written.model_dump(mode="json"))
    assert again.parameters["a.b"].values == (1, [2, 3])
    assert again.parameters["a.c"].arguments == (0, 1, 0.5)
    assert again.parameters["a.c"].values is None


def test_several_metrics_have_one_mode_or_one_each_and_the_first_decides() -> None:
    both = {"metric": ["eval/knn_top1", "loss/total"], "mode": ["max", "min"]}
    assert space_of(**both).goals == (("eval/knn_top1", "max"), ("loss/total", "min"))
    assert space_of(**both).goal.metric == "eval/knn_top1"
    spread = ["features/std", "eval/knn_top1"]
    assert space_of(metric=spread, mode="max").goals[1] == ("eval/knn_top1", "max")
    assert space_of(metric="loss/total", mode="min").goals == (("loss/total", "min"),)


def test_a_metric_brings_its_better_direction_along() -> None:
    # A space that named the loss and no mode once chose the trial with the highest.
    assert space_of(metric="loss/total").goals == (("loss/total", "min"),)
    both = space_of(metric=["eval/knn_top1", "throughput/s_per_step"])
    assert [goal.mode for goal in both.goals] == ["max", "min"]
    assert space_of(metric="teacher/entropy", mode="min").goal.mode == "min"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"metric": "loss/total", "mode": "max"}, "mode: max is the wrong end of 'loss/total': "
         "less is better; mode=min"),
        ({"mode": "min"}, "mode: min is the wrong end of 'eval/knn_top1': more is better; "
         "mode=max"),
        ({"metric": ["eval/knn_top1", "loss/total"], "mode": "max"}, "'loss/total': less is "
         "better; mode=[max, min]"),
        ({"metric": "teacher/entropy"}, "neither end of 'teacher/entropy' is better by itself; say "
         "which one wins: mode=max or mode=min"),
        ({"metric": ["loss/total", "features/std"]}, "mode=max or mode=min, or a list with one for "
         "each"),
    ],
)  # fmt: skip
def test_a_mode_against_its_metric_or_missing_where_there_is_no_better_end_is_refused(
    written: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValidationError) as error:
        space_of(**written)
    assert expected in str(error.value)


def test_directions_are_of_metrics_that_there_are() -> None:
    assert METRICS.issuperset(HIGHER_IS_BETTER + LOWER_IS_BETTER)
    assert not set(HIGHER_IS_BETTER) & set(LOWER_IS_BETTER)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"mode": ["max", "min"]}, "has 2 for the 1 metrics ['eval/knn_top1']"),
        ({"metric": ["loss/total", "loss/total"]}, "metric: ['loss/total', 'loss/total'] names"),
        ({"seeds": [0, 1, 0]}, "seeds: [0, 1, 0] names one twice"),
        (
            {"parameters": {"a": {"grid_search": [1, 2, 1.0]}}},
            "'a': grid_search has a value twice in [1, 2, 1.0]; a setting is run once",
        ),
        ({"baseline": {"a.c": 1}}, "baseline.a.c: does not vary here; what does: a.b"),
        (
            {"parameters": {"a": {"choice": [{"b": 1}]}, "a.b": {"choice": [1]}}},
            "parameters: 'a.b' is a part of 'a', which varies too; vary one of the two",
        ),
        (
            {"parameters": {"a.b.c": {"choice": [1]}, "a.b": {"choice": [{"c": 1}]}}},
            "parameters: 'a.b.c' is a part of 'a.b', which varies too",
        ),
        ({"baseline": {"a.b": "1"}}, "baseline.a.b='1' is none of its values [1, 2]"),
        ({"baseline": {"a.b": True}}, "baseline.a.b=True is none of its values [1, 2]"),
        ({"baseline": {"a.b": 3}}, "baseline.a.b=3 is none of its values [1, 2]"),
    ],
)
def test_what_does_not_go_together_in_a_space_names_the_key_and_the_fix(
    written: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValidationError) as error:
        space_of(**written)
    assert expected in str(error.value)


def space_of(**content: Any) -> Space:
    tree = {"name": "a", "recipe": "b.yaml", "parameters": {"a.b": {"choice": [1, 2]}}}
    return Space.model_validate(tree | content)
