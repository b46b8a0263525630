"""Reads from a run's folder whether the run is over, and how it ended. Starts no training.

In: a run's folder, and the recipe to continue with. Out: the result of the run, or None if the
recipe has more steps to train. Next: ``poise.runs.pretraining``.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from poise.config.checkpoint_storage import checkpoints_of
from poise.config.paths import RECIPE_FILE, home

if TYPE_CHECKING:
    from poise.config import Recipe
    from poise.runs.outcome import Finished
    from poise.training.schedule import Timetable


def steps_kept(run_name: str) -> int:
    """Returns the training step of the run's last checkpoint, or 0 if it has no checkpoint."""
    from poise.training.checkpoint import newest_checkpoint, read_run

    newest = newest_checkpoint(checkpoints_of(run_name))
    return int(read_run(newest)["step"]) if newest else 0


def how_it_ended(recipe: Recipe, run_name: str, run_id: str = "") -> Finished | None:
    """Returns the result of a run, or None if the recipe has more steps to train.

    A run is over after its last step, after divergence, or after a collapse that stops it.

    Args:
        recipe: recipe to continue with. It decides at which step the run ends.
        run_name: name of the run.
        run_id: id of the run in MLflow.
    """
    from poise.runs.outcome import judged
    from poise.training.checkpoint import newest_checkpoint, read_run
    from poise.training.loop import is_lost
    from poise.training.schedule import timetable_of
    from poise.training.spec import Outcome

    newest, timetable = newest_checkpoint(checkpoints_of(run_name)), timetable_of(recipe)
    if newest is None:
        return None
    kept = read_run(newest)
    step, history = int(kept["step"]), kept["history"]
    ended = judged(run_id, Outcome(newest, history), recipe, timetable)
    condemned = recipe.training.stop_collapsed and ended.verdict.condemned
    is_over = step >= timetable.total_steps or condemned or is_lost(history[-1][1])
    return ended if is_over else None


def over_line(recipe: Recipe, run_name: str, ended: Finished) -> str:
    """Returns a line that says that the run is over and, if possible, how to continue training."""
    from poise.training.schedule import timetable_of

    timetable = timetable_of(recipe)
    changes = _to_train_on(recipe, ended, timetable)
    file = str(home() / run_name / RECIPE_FILE)
    go_on = shlex.join(["poise", "pretrain", file, *changes, "--name", run_name, "--resume"])
    over = f"run {run_name} is over, at step {ended.last_step} of {timetable.planned_steps}"
    return f"{over}; to train on all the same: {go_on}" if changes else over


def _to_train_on(recipe: Recipe, ended: Finished, timetable: Timetable) -> list[str]:
    """Returns the ``key=value`` changes to the recipe that let the run continue.

    The list is empty if the run finished its planned steps or diverged.
    """
    from poise.training.loop import is_lost

    step, metrics = ended.history[-1]
    if step >= timetable.planned_steps or is_lost(metrics):
        return []
    limits = {
        "training.stop_collapsed=false": recipe.training.stop_collapsed and ended.verdict.condemned,
        "training.stop_after_steps=null": step >= timetable.total_steps,
    }
    return [change for change, ends_it in limits.items() if ends_it]
