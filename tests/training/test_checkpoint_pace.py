"""When checkpoints are saved by the clock, driven by a clock of the test's own."""

from itertools import pairwise

import pytest

from poise.config import PoiseError, Recipe, override
from poise.training.checkpoint_pace import LEAST_S, MOST_SHARE, CheckpointPace
from poise.training.schedule import Timetable
from tests.builders import tiny_recipe
from tests.training.test_collapse_stopper import UNDECIDED, Follow, at, dataset, follow

__all__ = ["dataset", "follow"]  # fixtures


class Clock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def pace(clock: Clock, **settings: object) -> CheckpointPace:
    changes = {f"training__checkpoint_every_{name}": value for name, value in settings.items()}
    return CheckpointPace(tiny_recipe(**changes).training, clock)


def train(pace: CheckpointPace, clock: Clock, minutes: float, save_s: float) -> list[float]:
    """Seconds at which checkpoints began; the run asks every second."""
    saved, end_s = [], clock.now_s + 60 * minutes
    while clock.now_s < end_s:
        clock.now_s += 1
        if pace.is_due():
            saved.append(clock.now_s - 1000)
            with pace.saving():
                clock.now_s += save_s
    return saved


@pytest.mark.parametrize("save_s", [0.1, 2.0, 30.0, 600.0])
def test_saving_takes_at_most_its_share_of_the_time_however_slow_it_is(save_s: float) -> None:
    clock = Clock()
    saved = train(pace(clock, steps="auto"), clock, 60 * 24, save_s)
    assert len(saved) > 1
    for number, began_s in enumerate(saved[1:], start=1):
        assert number * save_s <= MOST_SHARE * began_s, "all that were saved before this one"


def test_a_fast_disk_is_not_written_to_all_the_time() -> None:
    clock = Clock()
    saved = train(pace(clock, steps="auto"), clock, 10, save_s=0.01)
    assert len(saved) >= 9
    assert all(later - before >= LEAST_S for before, later in pairwise(saved))


def test_one_slow_save_makes_the_next_wait() -> None:
    clock = Clock()
    slow = pace(clock, steps="auto")
    with slow.saving():
        clock.now_s += 30
    assert slow.interval_s == 30 / MOST_SHARE
    with slow.saving():
        clock.now_s += 1
    assert slow.interval_s == LEAST_S


def test_the_longest_time_between_two_goes_before_the_cost() -> None:
    clock = Clock()
    limited = pace(clock, steps="auto", minutes=5.0)
    saved = train(limited, clock, 60, save_s=60)
    assert saved[0] == LEAST_S
    assert max(b - a for a, b in pairwise(saved)) <= 5 * 60 + 61


def test_steps_alone_never_look_at_the_clock() -> None:
    clock = Clock()
    by_steps = pace(clock, steps=4)
    clock.now_s += 1e9
    assert not by_steps.reads_clock and not by_steps.is_due()
    assert pace(clock, steps=4, minutes=1.0).reads_clock
    assert pace(clock, steps="auto").reads_clock


def test_with_auto_the_plan_holds_the_last_checkpoint_alone() -> None:
    timetable = Timetable(tiny_recipe(training__checkpoint_every_steps="auto"), steps_per_epoch=10)
    assert [step for step in range(1, 21) if timetable.checkpoints(step)] == [20]


@pytest.mark.parametrize(
    ("steps", "minutes", "most"), [(4, None, 5), ("auto", None, 10), (4, 1.0, 10), (1, 1.0, 20)]
)
def test_a_forecast_counts_as_many_checkpoints_as_there_can_be(
    steps: object, minutes: float | None, most: int
) -> None:
    recipe = tiny_recipe(
        training__checkpoint_every_steps=steps, training__checkpoint_every_minutes=minutes
    )
    assert Timetable(recipe, steps_per_epoch=10).most_checkpoints == most


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "every", None, [4], "4"])
def test_steps_are_a_number_or_the_word_auto(wrong: object) -> None:
    with pytest.raises(PoiseError, match="must be auto or a number of steps of at least 1, got"):
        override(tiny_recipe(), {"training.checkpoint_every_steps": wrong}, "here")


@pytest.mark.parametrize("wrong", [0, -1.0, "ten", True])
def test_minutes_are_above_zero(wrong: object) -> None:
    with pytest.raises(PoiseError, match=r"training\.checkpoint_every_minutes=.* must be"):
        override(tiny_recipe(), {"training.checkpoint_every_minutes": wrong}, "here")


def test_a_recipe_of_an_older_version_keeps_its_meaning() -> None:
    tree = tiny_recipe(training__checkpoint_every_steps=1000).model_dump(mode="json")
    for new in ("micro_batch_size", "activation_checkpointing", "checkpoint_every_minutes"):
        del tree["training"][new]
    older = Recipe.model_validate(tree)
    assert older.training.checkpoint_every_steps == 1000
    assert older.micro_batch_size == older.worker_batch_size
    assert not older.training.activation_checkpointing


def test_a_run_saves_at_the_logged_step_after_the_interval_and_at_its_end(follow: Follow) -> None:
    steps = range(1, 9)
    watch, _, reported = follow(
        dict.fromkeys(steps, UNDECIDED), training__checkpoint_every_steps="auto"
    )
    clock = Clock()
    watch.pace = CheckpointPace(watch.spec.recipe.training, clock)
    with watch:
        for step in steps:
            clock.now_s += LEAST_S / 3
            watch.at_boundary(at(step))
    assert [told["step"] for told in reported if told["kept"]] == [3, 6, 8]
