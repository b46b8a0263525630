"""Commands of the pages that train stay right when their sizes are lowered."""

import shlex
from typing import Literal

import pytest

from poise.config.loading import load_recipe
from poise.config.space_files import load_space_and_recipe
from poise.sweeps.planning import check_settings
from poise.sweeps.tune_search import check_compared
from tests.documents.blocks import REPOSITORY
from tests.documents.page_script import parts
from tests.documents.reading import PAGES
from tests.documents.smaller import settings_of, smaller


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def _trainings(page: str) -> list[list[str]]:
    run = [part.code for part in parts(page, PAGES[page]) if part.reason is None]
    words = [shlex.split(code, comments=True)[1:] for code in run if code.startswith("poise ")]
    begun = [each for each in words if not {"--resume", "--extend"} & {*each}]
    return [each for each in begun if each[0] in ("pretrain", "ablate", "sweep")]


TRAINING = [page for page in PAGES if _trainings(page)]


@pytest.mark.parametrize("page", TRAINING)
def test_a_training_with_small_sizes_has_a_recipe_and_settings_that_can_be_tried(page: str) -> None:
    for words in map(smaller, _trainings(page)):
        command, path = words[:2]
        if command == "pretrain":
            assert load_recipe(path, settings_of(words)).training.stop_after_steps
        else:
            space, recipe = load_space_and_recipe(path, settings_of(words))
            verb: Literal["ablate", "sweep"] = "ablate" if command == "ablate" else "sweep"
            trials = len(check_settings(space, recipe, path, verb))  # with one seed each
            check_compared(space, trials, path)
            assert trials <= 5
