from typing import Any

import pytest

from poise.studies.analysis.cost import cost
from tests.studies.builders import make_study
from tests.studies.samples import SINGLE, trial_record


def test_stopping_early_saves_the_steps_that_were_left() -> None:
    early: dict[str, Any] = {"state": "stopped", "step": 25}
    records = [
        trial_record(0, 0, 30.0),
        trial_record(1, 0, 10.0, SINGLE, stopped_by="CollapseStopper", **early),
        trial_record(2, 0, 20.0, stopped_by="asha", **early),
        trial_record(3, 0, None, None, state="failed", step=10),
    ]
    found = cost(make_study(), records)
    assert (found.steps, found.total_steps, found.saved_steps) == (160, 400, 150)
    assert found.saved_share == 0.375
    assert found.stopped == {"CollapseStopper": 1, "asha": 1}
    assert found.hours == pytest.approx(4 * 50 / 3600)
    assert found.saved_hours == pytest.approx(found.hours * 150 / 160)
    assert found.images == 160 * 8  # the recipe's batch
    assert found.images_per_s == pytest.approx(160 * 8 / 200)


def test_a_varied_batch_counts_as_it_was() -> None:
    record = trial_record(0, 0, settings={"training.batch_size": 32})
    assert cost(make_study(), [record]).images == 3200


def test_nothing_costs_nothing() -> None:
    found = cost(make_study(), [])
    assert (found.steps, found.saved_share, found.images_per_s) == (0, None, None)
