"""Prepares everything around a run: the store, Ray, the run in MLflow, and its progress lines.

In: a recipe and the run's name. Out: the store during the work in a folder, and a ``Session``
during training. Next: ``poise.runs.pretraining`` and ``poise.runs.probing``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from poise.cluster.connection import start_ray
from poise.config import Recipe
from poise.config.files import full_disk
from poise.runs.progress import ProgressDisplay
from poise.tracking.ending import controlled, reconcile
from poise.tracking.known_run import check_store
from poise.tracking.run import Run
from poise.tracking.run_lock import held
from poise.tracking.store import Store, open_store
from poise.training.capacity import check_fits
from poise.training.observer import RunObserver
from poise.training.schedule import timetable_of
from poise.training.worker import first_cause


@dataclass(frozen=True)
class Session:
    """Run that this process controls, ready to train."""

    run: Run
    progress: Callable[[], RunObserver]
    """Function that makes the observer that shows progress."""


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """Locks the folder of a run or a study during the block, and opens its MLflow store.

    Before that, runs whose processes have died are marked as killed.

    Raises:
        PoiseError: another process works in the folder; or the store does not answer, is not
            writable, or does not contain the folder's run; or the disk is full.
    """
    with held(folder), _full_disk_is_one_line(folder):
        store = open_store()  # before any worker starts
        reconcile(store)
        check_store(store, folder)
        yield store


@contextmanager
def _full_disk_is_one_line(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        explained = full_disk(first_cause(error), folder)
        if explained is None:
            raise
        raise explained from None


@contextmanager
def session(recipe: Recipe, name: str, create: Callable[[], Run]) -> Iterator[Session]:
    """Starts Ray, creates the run and controls it until the block ends.

    Args:
        recipe: recipe of the run.
        name: name of the run on progress lines.
        create: function that creates the run in MLflow, or finds it again.

    Raises:
        PoiseError: Ray does not start, or the machine is too small for the run.
    """
    start_ray()
    check_fits(recipe)
    run = create()
    with controlled(run), ProgressDisplay() as display:
        yield Session(run, display.observer(name, timetable_of(recipe).total_steps))
