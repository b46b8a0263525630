import math

import pytest

from poise.config.locations import Location
from poise.diagnostics.judge import VerdictKind
from poise.runs.outcome import judged
from poise.training.schedule import Timetable
from poise.training.spec import Outcome
from tests.builders import tiny_recipe


@pytest.mark.parametrize(("loss", "by"), [(math.nan, None), (3.5, "CollapseStopper")])
def test_a_run_that_lost_its_loss_ended_by_itself_whoever_watched(
    loss: float, by: str | None
) -> None:
    recipe = tiny_recipe(training__stop_collapsed=True)
    outcome = Outcome(Location.of("there"), [(2, {"loss/total": 3.0}), (4, {"loss/total": loss})])
    finished = judged("run", outcome, recipe, Timetable(recipe, 4))
    assert finished.stopped_by == by
    assert (finished.verdict.kind is VerdictKind.DIVERGED) == (by is None)
