import math

import pytest
from mlflow.entities.model_registry import RegisteredModelTag

from poise.config import PoiseError
from poise.tracking.registry.list_filters import Order, Query, read_condition, read_order
from poise.tracking.registry.version import RegisteredFigure, stored_tags
from poise.tracking.registry.version_search import search_versions
from poise.tracking.store import Store


def add(store: Store, name: str, value: float | None, **tags: str) -> int:
    """Registers a version that has tags but no files."""
    client = store.client
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    figures = {} if value is None else {"eval/knn_top1": RegisteredFigure(value, "%")}
    found = client.create_model_version(
        name,
        f"/nowhere/{name}",
        tags=stored_tags({"metric": "eval/knn_top1", **tags}, figures),
        await_creation_for=0,
    )
    return int(found.version)


@pytest.fixture
def filled(store: Store) -> Store:
    add(store, "a", 50.0, objective="dino", verdict="healthy", dataset="scenes")
    add(store, "a", 70.0, objective="dino", verdict="healthy", dataset="it's")
    add(store, "a", 60.0, objective="mae", verdict="forgetting", dataset="scenes")
    add(store, "b", None, objective="mae", verdict="healthy", dataset="scenes")
    store.client.set_registered_model_alias("a", "best", "2")
    store.client.set_registered_model_alias("a", "production", "2")
    store.client.set_registered_model_alias("b", "best", "1")
    return store


def found(store: Store, query: Query) -> list[str]:
    return [version.short for version in search_versions(store, query).versions]


def test_versions_are_listed_newest_first_with_their_aliases(filled: Store) -> None:
    versions = search_versions(filled, Query()).versions
    assert [each.short for each in versions] == ["b/1", "a/3", "a/2", "a/1"]
    assert [each.aliases for each in versions] == [("best",), (), ("best", "production"), ()]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"objective": "mae"}, ["b/1", "a/3"]),
        ({"objective": "mae", "verdict": "healthy"}, ["b/1"]),
        ({"dataset": "it's"}, ["a/2"]),
        ({"dataset": "' OR 1=1 --"}, []),
        ({"verdict": "Healthy"}, []),
    ],
)
def test_tags_filter_by_their_exact_value(
    filled: Store, tags: dict[str, str], expected: list[str]
) -> None:
    assert found(filled, Query(tags=tags)) == expected


def test_an_alias_and_a_name_filter(filled: Store) -> None:
    assert found(filled, Query(alias="best")) == ["b/1", "a/2"]
    assert found(filled, Query(name="a", alias="best")) == ["a/2"]
    assert found(filled, Query(name="nobody")) == []


def test_figures_filter_and_sort(filled: Store) -> None:
    above = Query(conditions=(read_condition("eval/knn_top1 >= 60"),))
    assert found(filled, above) == ["a/3", "a/2"]
    best = Query(order=read_order("eval/knn_top1"))
    assert found(filled, best) == ["a/2", "a/3", "a/1", "b/1"], "without the figure comes last"
    worst = Query(order=read_order("eval/knn_top1:asc"))
    assert found(filled, worst) == ["a/1", "a/3", "a/2", "b/1"]


def test_names_are_sorted_in_both_directions(filled: Store) -> None:
    assert found(filled, Query(order=read_order("name"))) == ["a/3", "a/2", "a/1", "b/1"]
    assert found(filled, Query(order=read_order("name:asc")))[-1] == "b/1"
    assert found(filled, Query(order=read_order("name:desc"))) == ["b/1", "a/3", "a/2", "a/1"]
    assert found(filled, Query(order=read_order("created:asc")))[0] == "a/1"


def test_a_limit_says_how_many_there_are(filled: Store) -> None:
    for query in (Query(limit=2), Query(limit=2, order=read_order("name"))):
        result = search_versions(filled, query)
        assert (len(result.versions), result.total) == (2, 4)


def test_a_deleted_version_and_a_prompt_are_not_listed(filled: Store) -> None:
    filled.client.delete_model_version("a", "3")
    filled.registry.create_registered_model(
        "prompt", [RegisteredModelTag("mlflow.prompt.is_prompt", "true")]
    )
    filled.client.create_model_version("prompt", "/nowhere", await_creation_for=0)
    assert found(filled, Query()) == ["b/1", "a/2", "a/1"]


def test_a_figure_that_no_version_has_is_refused_with_the_nearest_name(filled: Store) -> None:
    query = Query(conditions=(read_condition("eval/knn_top2>1"),))
    with pytest.raises(PoiseError, match=r"eval/knn_top2: none of these .* 'eval/knn_top1'"):
        search_versions(filled, query)


@pytest.mark.parametrize(
    "text",
    [
        "", "eval/knn_top1", "60<=eval/knn_top1<=70", "eval/knn_top1=>60", "eval/knn_top1>=",
        ">=60", "eval/knn_top1>=nan", "eval/knn_top1>=inf", "eval/knn_top1>=sixty", "a>=1 b>=2",
        "eval/knn_top1!=60", "eval/knn_top1==60",
    ],
)  # fmt: skip
def test_a_condition_of_another_form_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(PoiseError, match="eval/knn_top1>=60") as refused:
        read_condition(text)
    assert str(refused.value).startswith(f"--metric {text!r}: ")


@pytest.mark.parametrize(
    ("text", "comparison", "value"),
    [("a>=6", ">=", 6), ("a > -1e-3", ">", -0.001), ("a=6", "=", 6), ("a<60%", "<", 60)],
)
def test_conditions_are_read(text: str, comparison: str, value: float) -> None:
    condition = read_condition(text)
    assert (condition.metric, condition.comparison) == ("a", comparison)
    assert math.isclose(condition.value, value)


def test_an_order_by_a_figure_that_has_no_better_end_needs_a_direction() -> None:
    with pytest.raises(PoiseError, match=r"--sort teacher/entropy:desc .* teacher/entropy:asc"):
        read_order("teacher/entropy")
    assert read_order("teacher/entropy:desc") == Order("teacher/entropy", highest_first=True)
    assert read_order("loss/total") == Order("loss/total", highest_first=False)
    accuracy = "probe/x/knn-dino-v1/k20_top1"
    assert read_order(accuracy) == Order(accuracy, highest_first=True)


def test_a_query_names_each_of_its_metrics_once() -> None:
    conditions = tuple(map(read_condition, ("a>1", "b>1", "a<9")))
    assert Query(conditions=conditions, order=read_order("b:asc")).metrics == ["a", "b"]
    assert Query(order=read_order("name")).metrics == []


@pytest.mark.parametrize("text", ["", "a:up", ":asc", "a:ASC"])
def test_an_order_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(PoiseError, match=r"--sort .*write created, name, METRIC"):
        read_order(text)
