"""Prepares the surroundings of a run: the MLflow store, Ray, the MLflow run and its progress lines.

In: a recipe and the run's name. Out: the open store, and a ``Session`` that lasts as long as
training. Next: ``poise.runs.pretraining`` and ``poise.runs.probing``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from poise.cluster.connection import start_ray
from poise.config import Recipe
from poise.config.files import full_disk
from poise.runs.node_checks import check_nodes
from poise.runs.progress import HereObserver, ProgressDisplay
from poise.tracking.ending import controlled, reconcile
from poise.tracking.known_run import check_store
from poise.tracking.run import Run
from poise.tracking.run_lock import held
from poise.tracking.store import Store, open_store
from poise.training.capacity import check_fits
from poise.training.datasets import folders_of
from poise.training.observer import RunObserver
from poise.training.schedule import timetable_of
from poise.training.worker import first_cause


@dataclass(frozen=True)
class Session:
    """MLflow run that is ready to train, with functions that show its progress."""

    run: Run
    progress: Callable[[], RunObserver]
    """Function that makes the observer that shows the run's progress."""

    say: Callable[[str], None]
    """Function that shows one line about the run, from any process."""


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """Locks the folder of a run or a study during the ``with`` block, and opens its MLflow store.

    First, MLflow runs whose processes have died get the status "killed".

    Raises:
        PoiseError: another process works in the folder. Or the store does not answer, is not
            writable, or does not contain the folder's run. Or the disk is full.
    """
    with held(folder), _full_disk_is_one_line(folder):
        store = open_store()  # opened before any worker starts
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
    """Starts Ray and creates the MLflow run. The end of the ``with`` block sets the run's status.

    Args:
        recipe: recipe of the run.
        name: name of the run.
        create: function that creates the run in MLflow, or finds the existing one.

    Raises:
        PoiseError: Ray does not start, the machine is too small for the run, or a node of the
            cluster lacks a dataset or does not share the run's folder.
    """
    start_ray()
    check_fits(recipe)
    check_nodes(folders_of(recipe), name)
    run = create()
    with controlled(run), ProgressDisplay() as display:
        observer = display.observer(name, timetable_of(recipe).total_steps)
        yield Session(run, observer, display.sayer(name))


@contextmanager
def session_here(
    say: Callable[[str], None], recipe: Recipe, name: str, create: Callable[[], Run]
) -> Iterator[Session]:
    """Creates a run that this process trains without Ray.

    The end of the ``with`` block sets the run's status.

    Args:
        say: function that shows a progress line.
        recipe: recipe of the run.
        name: name of the run on progress lines.
        create: function that creates the run in MLflow, or finds the existing one.
    """
    run = create()
    with controlled(run):
        observer = partial(HereObserver, say, name, timetable_of(recipe).total_steps)
        yield Session(run, observer, say)
