"""Stores in a folder which MLflow run belongs to the folder.

In: the folder of a run or study. Out: its MLflow run, even after the folder was renamed or moved.
Next: ``poise.tracking.run``, which finds the run of a folder.

``mlflow.json`` in the folder contains the run's id and the address of its store. The name of a run
is not enough. Two machines with the same MLflow server may both have a run called ``a``.
"""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.config.files import read_fields, write_json
from poise.config.redaction import redacted
from poise.tracking.run_lock import Holder, is_held, read_holder
from poise.tracking.store import Store, is_absent

KNOWN_RUN_FILE = "mlflow.json"
KILLED_BECAUSE = "poise.killed_because"
"""Name of the tag that stores why a run was killed from outside."""


@dataclass(frozen=True)
class KnownRun:
    """MLflow run that belongs to a folder."""

    run_id: str
    store: str
    """Address of the run's store, without a password."""


def keep_run(folder: Path, store: Store, run_id: str) -> None:
    """Writes the store and the id of a run into a file of the folder that the run belongs to."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / KNOWN_RUN_FILE, asdict(KnownRun(run_id, redacted(store.uri))))


def known_run(folder: Path) -> KnownRun | None:
    """Returns the run that belongs to a folder.

    Returns None if the folder has no run yet, or if an older version of Poise made the folder.
    """
    path = folder / KNOWN_RUN_FILE
    if not path.exists():
        return None
    fix = f"`rm {shlex.quote(str(path))}` begins another run in MLflow for this folder"
    written = read_fields(path, fix, run_id=str, store=str)
    return KnownRun(written["run_id"], written["store"])


def stored_run(store: Store, run_id: str) -> mlflow.entities.Run | None:
    """Returns a run by its id, or None if this store does not have the run or the run was deleted.

    Raises:
        MlflowException: the store does not answer.
    """
    try:
        found = store.client.get_run(run_id)
    except MlflowException as error:
        if not is_absent(error):
            raise
        return None
    return found if found.info.lifecycle_stage == "active" else None


def check_store(store: Store, folder: Path) -> None:
    """Raises an error if the store does not have the folder's run.

    Without this check, a resumed run would lose its earlier metrics, and its report would lose its
    charts.

    Raises:
        PoiseError: the store does not have the run. The message names both stores and the fixes.
    """
    known = known_run(folder)
    if known is not None and stored_run(store, known.run_id) is None:
        raise PoiseError(
            f"{folder}: its run {known.run_id} is in MLflow at {known.store}, but the store "
            f"{redacted(store.uri)} does not have it; set MLFLOW_TRACKING_URI={known.store} to "
            f"continue, or `rm {shlex.quote(str(folder / KNOWN_RUN_FILE))}` to continue without "
            "its earlier metrics"
        )


def controller_lives(run: mlflow.entities.Run) -> bool | None:
    """Returns True if the process that controls a run is alive, or None if this is unknown."""
    holder = Holder.from_tags(run.data.tags)
    if holder is None:
        return None
    if holder.is_visible:
        return holder.is_running
    folder = _folder_of(run)
    return None if folder is None or read_holder(folder) is None else is_held(folder)


def _folder_of(run: mlflow.entities.Run) -> Path | None:
    """Returns the folder of a run or its study, or None if this machine does not have it.

    Another machine may have a different folder at the same path. So ``mlflow.json`` in the folder
    must name the run.
    """
    tags = run.data.tags
    folder = Path(tags["poise.folder"]) if "poise.folder" in tags else None
    if folder is None or not folder.is_dir():
        return None
    known = known_run(folder)
    ids = (run.info.run_id, tags.get("mlflow.parentRunId"))
    return folder if known is not None and known.run_id in ids else None
