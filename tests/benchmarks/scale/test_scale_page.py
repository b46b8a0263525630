"""The tables of docs/scale.md are those that the script computes, and its formulas are right."""

import re

import pytest

from tests.benchmarks.scale.cluster import Cluster
from tests.benchmarks.scale.sharded_memory import (
    VIT_SMALL,
    parameters_of,
)
from tests.benchmarks.scale.simulate_scale import PAGE, TABLES, with_tables

LONG = {"sharded", "reading"}
"""Tables that take minutes."""


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(TABLES.keys() - LONG, marks=pytest.mark.slow, id="quick"),
        pytest.param(LONG, marks=pytest.mark.heavy, id="long"),
    ],
)
def test_the_page_has_the_computed_tables(names: set[str]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    written = with_tables(page, names)
    assert written == page, "run python tests/benchmarks/scale/simulate_scale.py --write"


def test_the_page_has_every_table_once() -> None:
    names = re.findall(r"<!-- computed: (\w+) -->", PAGE.read_text(encoding="utf-8"))
    assert sorted(names) == sorted(TABLES)


def test_a_changed_number_on_the_page_is_replaced() -> None:
    page = "before\n<!-- computed: epochs -->\n| 1 |\n<!-- end -->\nafter"
    assert TABLES["epochs"]() in with_tables(page)
    assert with_tables(page).startswith("before\n")
    assert with_tables(page).endswith("\nafter")


@pytest.mark.parametrize(
    ("gpus", "reads"),
    [pytest.param(1, 1.0, marks=pytest.mark.slow), (8, 1.0), (64, 1.0), (512, 2.0)],
)
def test_workers_with_lanes_of_their_own_read_every_image_once(gpus: int, reads: float) -> None:
    assert Cluster(gpus).plan.num_lanes == 64
    assert Cluster(gpus).reads_per_image == pytest.approx(reads, abs=0.05)


@pytest.mark.slow
def test_a_checkpoint_has_the_size_that_a_run_reserves_for_it() -> None:
    from poise.training.capacity import footprint

    reserved = footprint(VIT_SMALL.recipe(VIT_SMALL.depth, 64)).checkpoint_bytes
    assert parameters_of(VIT_SMALL).checkpoint_bytes == pytest.approx(reserved, rel=0.01)
