"""The pictures of the documentation: used, there, small, and what the data say today."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from pipelines.metric_formulas import formula_of
from pipelines.metric_pictures import (
    CATALOGUE,
    PAGE,
    PICTURES,
    SHOWN_FOR,
    WITHOUT_PICTURE,
    digest,
    examples_by_metric,
    file_name,
    page,
    read_rows,
)
from tests.corpus.causes import RUNS
from tests.corpus.examples import Example

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
ENDINGS = {".png", ".jpg", ".svg", ".gif", ".webp"}
TEXTS = [REPOSITORY / "README.md", *DOCS.rglob("*.md")]

KB = 1000
LIMITS = {"metrics": (40 * KB, 1_500 * KB), "screenshots": (250 * KB, 1_500 * KB)}
"""Folder of pictures → most bytes of one, and of all."""


def shown(text: Path) -> list[tuple[str, Path]]:
    """The pictures of a page: their text for those who cannot see them, and their files."""
    found = re.findall(r"!\[(.*?)\]\(([^)#]+)\)", text.read_text(encoding="utf-8"))
    return [(words, (text.parent / path).resolve()) for words, path in found if "://" not in path]


@pytest.fixture(scope="module")
def examples() -> Mapping[str, Example]:
    return examples_by_metric()


def test_every_picture_is_shown_on_a_page_and_every_shown_one_is_there() -> None:
    there = {path for path in DOCS.rglob("*") if path.suffix in ENDINGS}
    used = {path for text in TEXTS for _, path in shown(text)}
    assert there
    assert used == there


def test_every_picture_has_words_for_those_who_cannot_see_it() -> None:
    lacking = [path for text in TEXTS for words, path in shown(text) if len(words.split()) < 3]
    assert not lacking


@pytest.mark.parametrize("folder", LIMITS)
def test_pictures_are_small(folder: str) -> None:
    most, most_together = LIMITS[folder]
    sizes = {path.name: path.stat().st_size for path in (DOCS / folder).iterdir()}
    assert not {name: size for name, size in sizes.items() if size > most}
    assert sum(sizes.values()) <= most_together


def test_every_metric_has_a_formula_and_a_place_on_the_page() -> None:
    placed = [metric for row in read_rows() for metric in row.metrics]
    assert sorted(placed) == sorted(CATALOGUE | set(SHOWN_FOR))
    assert all(formula_of(metric) for metric in placed)


def test_an_empty_cell_of_the_tables_is_left_out_of_the_page() -> None:
    rows = list(read_rows())
    assert any(not row.broken for row in rows)
    cells = [cell for row in rows for cell in (row.what, row.healthy, row.broken, row.source)]
    assert not [cell for cell in cells if cell.startswith("|") or cell.endswith("|")]


@pytest.mark.slow
def test_every_metric_has_a_picture_or_the_reason_why_not(
    examples: Mapping[str, Example],
) -> None:
    assert {*examples} | {*WITHOUT_PICTURE} == CATALOGUE | {*SHOWN_FOR.values()}
    assert not {*examples} & {*WITHOUT_PICTURE}


@pytest.mark.slow
def test_the_page_of_metrics_is_what_the_tables_and_the_runs_say(
    examples: Mapping[str, Example],
) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(list(read_rows()), examples), (
        "run: python -m pipelines.metric_pictures"
    )


@pytest.mark.slow
def test_every_picture_of_a_metric_shows_the_runs_as_they_are_labelled_today(
    examples: Mapping[str, Example],
) -> None:
    drawn = {}
    for path in PICTURES.glob("*.png"):
        with Image.open(path) as picture:
            drawn[path.name] = picture.info.get("Data")
    assert drawn == {file_name(metric): digest(each) for metric, each in examples.items()}


@pytest.mark.slow
def test_a_picture_shows_healthy_and_broken_runs_of_one_setup(
    examples: Mapping[str, Example],
) -> None:
    assert all(each.healthy and each.broken for each in examples.values())
    assert all(0.5 <= each.told_share <= 1 for each in examples.values())
    assert len(RUNS) >= 110
    entropy = examples["teacher/entropy_over_ln_k"]
    assert entropy.told_share > 0.95, "the entropy tells a collapse"
