"""Pretrains one backbone: ``python pipelines/pretrain.py recipe.yaml [key=value …]``.

What ``poise pretrain`` does, without its conveniences, as a script to read and to change.
"""

import sys
from functools import partial

from poise.cli.main import exit_status, resumable
from poise.cluster.connection import start_ray
from poise.config import PoiseError
from poise.config.paths import home
from poise.data.manifest import Manifest
from poise.runs.folder import begin
from poise.runs.pretraining import pretrain
from poise.runs.progress import ProgressDisplay
from poise.tracking.ending import controlled, reconcile
from poise.tracking.run import create_run
from poise.tracking.store import open_store
from poise.training.capacity import check_fits
from poise.training.schedule import Timetable, steps_per_epoch


def main(arguments: list[str]) -> None:
    """Trains, tracks and judges one run."""
    if not arguments:
        raise PoiseError("name a recipe: python pipelines/pretrain.py recipe.yaml")
    path, *overrides = arguments
    recipe, name = begin(path, overrides)
    total_steps = Timetable(recipe, steps_per_epoch(recipe)).total_steps

    store = open_store()  # before any worker starts
    reconcile(store)
    start_ray()
    check_fits(recipe)
    experiment = Manifest.read(recipe.data.dataset).name
    run = create_run(store, experiment, name, home() / name)
    with (
        resumable(f"poise pretrain --resume {name}"),
        controlled(run),
        ProgressDisplay() as display,
    ):
        finished = pretrain(recipe, run, name, [display.observer(name, total_steps)])
    print(f"verdict: {finished.verdict.kind} - {finished.verdict.evidence}")
    print(f"backbone: {finished.package}")


if __name__ == "__main__":
    sys.exit(exit_status(partial(main, sys.argv[1:])))
