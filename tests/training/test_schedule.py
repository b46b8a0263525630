"""When things happen in a run."""

from poise.training.schedule import FIRST_LOOKS, Timetable
from tests.builders import tiny_recipe


def test_epochs_become_steps_in_one_place() -> None:
    recipe = tiny_recipe(
        training={"epochs": 4, "batch_size": 8, "log_every_steps": 7, "checkpoint_every_steps": 9},
        evaluation={"queries": "somewhere", "every_epochs": 2},
    )
    timetable = Timetable(recipe, steps_per_epoch=10)
    steps = range(1, 41)
    assert timetable.total_steps == 40
    assert [step for step in steps if timetable.evaluates(step)] == [20, 40]
    assert [step for step in steps if timetable.checkpoints(step)] == [9, 18, 27, 36, 40]
    boundaries = {*FIRST_LOOKS, 7, 14, 21, 28, 35, 9, 18, 27, 36, 20, 40}
    assert {step for step in steps if timetable.is_boundary(step)} == boundaries
    assert timetable.position(25).epoch == 2


def test_a_run_stopped_early_keeps_the_schedules_of_the_whole() -> None:
    timetable = Timetable(tiny_recipe(training__stop_after_steps=5), steps_per_epoch=10)
    assert timetable.total_steps == 5
    assert timetable.position(5).total_steps == 20
    assert timetable.checkpoints(5)


def test_probes_can_be_switched_off() -> None:
    timetable = Timetable(tiny_recipe(evaluation__every_epochs=None), 10)
    assert not timetable.evaluates(20)
    assert [step for step in range(1, 21) if timetable.shows(step)] == [20]
