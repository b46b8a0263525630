"""Records in a folder which MLflow run belongs to it.

In: the folder of a run or a study. Out: its run, even if the folder was renamed or moved. Next:
``poise.tracking.run`` finds runs again.

``mlflow.json`` in the folder contains the run's id and the address of its store. A name is not
enough: two machines with the same MLflow server may both have a run called ``a``.
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
    """Run that belongs to a folder."""

    run_id: str
    store: str
    """Address of the run's store, without a password."""


def keep_run(folder: Path, store: Store, run_id: str) -> None:
    """Records which run belongs to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / KNOWN_RUN_FILE, asdict(KnownRun(run_id, redacted(store.uri))))


def known_run(folder: Path) -> KnownRun | None:
    """Returns the run that belongs to a folder.

    It is None if the run has not begun or is from an older version.
    """
    path = folder / KNOWN_RUN_FILE
    if not path.exists():
        return None
    try:
        return KnownRun(**read_json(path))
    except TypeError:
        raise PoiseError(f"{path}: does not name a run; remove it to begin a new one") from None


def stored_run(store: Store, run_id: str) -> mlflow.entities.Run | None:
    """Returns a run by its id; None if this store does not have it."""
    try:
        found = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return found if found.info.lifecycle_stage == "active" else None


def check_store(store: Store, folder: Path) -> None:
    """Raises an error if the store does not have the folder's run.

    Otherwise the metrics of the first part would be missing, and a report would lose its charts.

    Raises:
        PoiseError: the message names both stores and the possible fixes.
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
    """Returns True if the process that controls a run is alive; None if it is unknown."""
    holder = Holder.from_tags(run.data.tags)
    if holder is None:
        return None
    if holder.is_visible:
        return holder.is_running
    folder = _folder_of(run)
    return None if folder is None or read_holder(folder) is None else is_held(folder)


def _folder_of(run: mlflow.entities.Run) -> Path | None:
    """Returns the folder of a run or its study; None if this machine does not have it.

    Another machine may have another folder at the same path. So the folder must name the run.
    """
    tags = run.data.tags
    folder = Path(tags["poise.folder"]) if "poise.folder" in tags else None
    if folder is None or not folder.is_dir():
        return None
    known = known_run(folder)
    ids = (run.info.run_id, tags.get("mlflow.parentRunId"))
    return folder if known is not None and known.run_id in ids else None
