"""Steps that are trained again after an interruption are stored once."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from poise.tracking.run import Run
from poise.tracking.stored_points import StoredPoints
from poise.tracking.time_limits import Patience
from poise.tracking.unsent_metrics import SPILL_FILE, Point, Spill


def train(run: Run, steps: Iterable[int], again: bool = False) -> None:
    with closing(run.open_writer(Patience(period_s=3600), again=again)) as writer:
        for step in steps:
            writer.log(step, {"eval/knn_top1": step / 2, "loss/total": float(step)})


def rows(run: Run, key: str) -> list[int]:
    return sorted(row.step for row in run.store.client.get_metric_history(run.run_id, key))


def test_steps_after_the_last_checkpoint_are_not_stored_twice(run: Run) -> None:
    train(run, range(7))
    train(run, range(4, 9))
    assert rows(run, "loss/total") == rows(run, "eval/knn_top1") == list(range(9))


def test_a_step_of_which_half_was_stored_is_completed(run: Run) -> None:
    train(run, [1, 2])
    run.store.client.log_metric(run.run_id, "eval/knn_top1", 1.5, step=3)
    train(run, [2, 3, 4])
    assert rows(run, "loss/total") == rows(run, "eval/knn_top1") == [1, 2, 3, 4]


def test_a_step_that_was_lost_before_a_later_one_was_stored_is_not_lost_for_ever(run: Run) -> None:
    train(run, [1, 2])
    train(run, [4])  # the last report of a stopped trial, say; its step 3 was never sent
    train(run, [3, 4, 5])
    assert sorted(rows(run, "loss/total")) == [1, 2, 3, 4, 5]


def test_steps_that_wait_in_the_file_are_not_stored_twice(run: Run) -> None:
    train(run, [1, 2])
    waiting = [Point("loss/total", float(step), 10 + step, step) for step in (3, 4)]
    Spill(Path(run.folder) / SPILL_FILE).append(waiting)
    train(run, [3, 4, 5])
    assert rows(run, "loss/total") == [1, 2, 3, 4, 5]


def test_a_trial_that_goes_on_with_other_settings_stores_its_steps_again(run: Run) -> None:
    train(run, [1, 2, 3])
    train(run, [2, 3], again=True)
    assert sorted(rows(run, "loss/total")) == [1, 2, 2, 3, 3]


def test_the_store_is_asked_once(run: Run) -> None:
    stored = StoredPoints(run.store, run.run_id)
    first = [Point("loss/total", 1.0, 1, 1)]
    assert stored.lacking(first) == first
    stored.add(first)
    train(run, [2])
    assert stored.lacking(first) == []
    assert len(stored.lacking([Point("loss/total", 2.0, 2, 2)])) == 1, "it has one writer"
