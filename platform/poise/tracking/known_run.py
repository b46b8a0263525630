"""A folder remembers its run in MLflow.

In: the folder of a run or a study. Out: its run, though the folder was renamed or moved. Next:
``poise.tracking.run`` finds runs again.

``mlflow.json`` in the folder holds the run's id and the address of its store. Names may meet: two
machines with one MLflow server may both have a run called ``a``.
"""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.config.files import read_json, write_json
from poise.tracking.address import redacted
from poise.tracking.run_lock import Holder, is_held, read_holder
from poise.tracking.store import Store

KNOWN_RUN_FILE = "mlflow.json"


@dataclass(frozen=True)
class KnownRun:
    """The run that belongs to a folder."""

    run_id: str
    store: str
    """Address of its store, without a password."""


def keep_run(folder: Path, store: Store, run_id: str) -> None:
    """Writes down which run belongs to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / KNOWN_RUN_FILE, asdict(KnownRun(run_id, redacted(store.uri))))


def known_run(folder: Path) -> KnownRun | None:
    """The run that belongs to a folder; none where it was never begun, or by an older version."""
    path = folder / KNOWN_RUN_FILE
    if not path.exists():
        return None
    try:
        return KnownRun(**read_json(path))
    except TypeError:
        raise PoiseError(f"{path}: does not name a run; remove it to begin a new one") from None


def stored_run(store: Store, run_id: str) -> mlflow.entities.Run | None:
    """A run by its id; none where this store does not have it."""
    try:
        found = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return found if found.info.lifecycle_stage == "active" else None


def check_store(store: Store, folder: Path) -> None:
    """Refuses to go on in a store that does not have the folder's run.

    Metrics of the first part would stay behind, and a report would lose its charts.

    Raises:
        PoiseError: the message names both stores and the ways out.
    """
    known = known_run(folder)
    if known is not None and stored_run(store, known.run_id) is None:
        raise PoiseError(
            f"{folder}: its run {known.run_id} is in MLflow at {known.store}, and the store "
            f"{redacted(store.uri)} does not have it; set MLFLOW_TRACKING_URI={known.store} to go "
            f"on, or `rm {shlex.quote(str(folder / KNOWN_RUN_FILE))}` to leave its earlier metrics "
            "behind"
        )


def controller_lives(run: mlflow.entities.Run) -> bool | None:
    """Whether the process that controls a run is alive; none where nobody can tell from here."""
    holder = Holder.from_tags(run.data.tags)
    if holder is None:
        return None
    if holder.is_visible:
        return holder.is_running
    folder = _folder_of(run)
    return None if folder is None or read_holder(folder) is None else is_held(folder)


def _folder_of(run: mlflow.entities.Run) -> Path | None:
    """The folder that holds a run or its study; none where this machine does not have it.

    Another machine may have another folder at the same path, so the folder must name the run.
    """
    tags = run.data.tags
    folder = Path(tags["poise.folder"]) if "poise.folder" in tags else None
    if folder is None or not folder.is_dir():
        return None
    known = known_run(folder)
    ids = (run.info.run_id, tags.get("mlflow.parentRunId"))
    return folder if known is not None and known.run_id in ids else None
