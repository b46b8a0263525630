"""How many workers an elastic run may have, and what they do."""

import pytest
from pydantic import ValidationError

from poise.config import PoiseError, Recipe
from poise.training.capacity import check_builds, cpus_needed
from poise.training.elastic import (
    Attempt,
    attempt_sentence,
    begun,
    is_elastic,
    largest_world_size,
    with_workers,
    worker_settings,
    world_sizes,
)
from tests.builders import tiny_recipe


def elastic(most: int, least: int | None, batch_size: int = 64, **changes: object) -> Recipe:
    return tiny_recipe(
        training__num_workers=most,
        training__min_workers=least,
        training__batch_size=batch_size,
        **changes,
    )


@pytest.mark.parametrize(
    ("most", "least", "batch_size", "sizes"),
    [(8, 2, 64, (2, 4, 8)), (6, 1, 24, (1, 2, 3, 4, 6)), (8, 5, 64, (8,)), (4, None, 64, (4,))],
)
def test_the_numbers_that_divide_the_batch_are_allowed(
    most: int, least: int | None, batch_size: int, sizes: tuple[int, ...]
) -> None:
    recipe = elastic(most, least, batch_size)
    assert world_sizes(recipe) == sizes
    assert is_elastic(recipe) is (len(sizes) > 1)


def test_the_largest_allowed_number_that_has_room_is_taken() -> None:
    assert [largest_world_size((2, 4, 8), room) for room in (1, 2, 3, 7, 8, 99)] == [
        0,
        2,
        2,
        4,
        8,
        8,
    ]


def test_a_range_that_is_upside_down_is_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"min_workers=4 is more than training\.num_workers=2"
    ):
        elastic(2, 4)


@pytest.mark.parametrize(
    ("workers", "micro_batch_size", "expected"),
    [(8, None, 8), (4, None, 8), (2, None, 8), (8, 4, 4), (2, 4, 4)],
)
def test_fewer_workers_pass_more_micro_batches_of_the_same_size(
    workers: int, micro_batch_size: int | None, expected: int
) -> None:
    recipe = elastic(8, 2, training__micro_batch_size=micro_batch_size)
    attempt = with_workers(recipe, workers)
    assert attempt.training.batch_size == 64
    assert attempt.worker_batch_size == 64 // workers
    assert attempt.micro_batch_size == expected
    assert attempt.optimizer == recipe.optimizer


def test_micro_batches_are_equal_even_if_the_share_is_no_multiple_of_those_of_all_workers() -> None:
    attempt = with_workers(elastic(4, 1, 24), 3)
    assert (attempt.worker_batch_size, attempt.micro_batch_size) == (8, 4)


def test_a_recipe_with_a_fixed_number_of_workers_stays_as_it_is() -> None:
    recipe = elastic(4, None)
    assert with_workers(recipe, 4) is recipe


def test_a_model_that_looks_at_the_whole_batch_is_refused() -> None:
    recipe = elastic(4, 2, backbone={"name": "resnet10t", "drop_path": 0})
    with pytest.raises(
        PoiseError, match=r"min_workers=2: resnet10t .* batch norms.* set it to null"
    ):
        check_builds(recipe)
    check_builds(elastic(4, None, backbone={"name": "resnet10t", "drop_path": 0}))


def test_an_elastic_run_needs_the_cpus_of_its_smallest_number() -> None:
    assert (
        cpus_needed(elastic(8, 3, training__cpus_per_worker=2)) == 8
    )  # 4 workers: 3 is no divisor


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("4", ["training.num_workers=4", "training.min_workers=null"]),
        ("2-8", ["training.num_workers=8", "training.min_workers=2"]),
    ],
)
def test_the_command_line_takes_a_number_or_a_range(text: str, settings: list[str]) -> None:
    assert worker_settings(text) == settings


@pytest.mark.parametrize("text", ["", "two", "2-", "-8", "2..8"])
def test_another_spelling_of_a_range_is_refused(text: str) -> None:
    with pytest.raises(PoiseError, match=r"write a number \(4\) or a range \(2-8\)"):
        worker_settings(text)


FOUR = Attempt(0, 4, ("a", "b"))


@pytest.mark.parametrize(
    ("now", "sentence"),
    [
        (Attempt(120, 2, ("a",)), "continues with 2 of 4 workers from step 120: one node is gone"),
        (Attempt(8, 1, ()), "continues with 1 of 4 workers from step 8: 2 nodes are gone"),
        (Attempt(8, 4, ("a", "b")), "continues with 4 of 4 workers from step 8: a worker was lost"),
        (
            Attempt(8, 2, ("a", "b")),
            "continues with 2 of 4 workers from step 8: there is less room",
        ),
    ],
)
def test_the_user_is_told_how_many_workers_are_left_and_why(now: Attempt, sentence: str) -> None:
    assert attempt_sentence(elastic(4, 1), [FOUR, now]) == sentence


def test_the_user_is_told_of_a_start_with_fewer_workers_and_of_growth() -> None:
    recipe, two = elastic(4, 1), Attempt(0, 2, ("a",))
    assert attempt_sentence(recipe, [two]) == "starts with 2 of 4 workers"
    more = [two, Attempt(60, 4, ("a", "b"))]
    assert attempt_sentence(recipe, more).endswith(
        "4 of 4 workers from step 60: one node has joined"
    )


def test_an_attempt_that_left_no_step_is_dropped() -> None:
    lost, now = Attempt(120, 4), Attempt(120, 2)
    assert begun([FOUR, lost], now) == [FOUR, now]
