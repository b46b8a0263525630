"""Ray Train resumes a run whatever became of its list of checkpoints. No cluster is needed."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyarrow.fs import LocalFileSystem
from ray.train import Checkpoint, CheckpointConfig
from ray.train.v2._internal.exceptions import CheckpointManagerInitializationError
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import CheckpointManager
from ray.train.v2._internal.execution.storage import StorageContext

from poise.config.locations import Location
from poise.training.checkpoint import RUN_FILE, STATE_FILE
from poise.training.checkpoint_store import LAST_GOOD
from poise.training.worker_snapshot import mend_snapshot

# Ray itself calls methods that pydantic will remove.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")

NAMES = ["checkpoint_1", "checkpoint_2", "checkpoint_3"]


def started(run: Path) -> list[str]:
    """Names of the checkpoints that Ray Train knows when it starts. It resumes from the last."""
    storage = StorageContext(str(run.parent), run.name)
    manager = CheckpointManager(CheckpointConfig(num_to_keep=5), storage)
    known = [Path(result.checkpoint.path) for result in manager._checkpoint_results]
    latest = manager.latest_checkpoint_result
    assert (latest and Path(latest.checkpoint.path)) == (known[-1] if known else None)
    assert all(path.parent == run for path in known)
    return [path.name for path in known]


def save(run: Path, name: str) -> None:
    (run / name).mkdir(parents=True)
    for file in (STATE_FILE, RUN_FILE):
        (run / name / file).touch()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that Ray Train has stored three checkpoints of."""

    async def report() -> None:
        storage = StorageContext(str(tmp_path), "run")
        manager = CheckpointManager(CheckpointConfig(num_to_keep=5), storage)
        for name in NAMES:
            save(tmp_path / "run", name)
            checkpoint = Checkpoint(str(tmp_path / "run" / name), LocalFileSystem())
            told: Any = SimpleNamespace(checkpoint=checkpoint, metrics={"a": 1}, validation=False)
            manager.register_checkpoint(told)

    asyncio.run(report())
    return tmp_path / "run"


def list_of(run: Path) -> Path:
    return run / "checkpoint_manager_snapshot.json"


def test_a_list_that_is_right_stays_as_ray_wrote_it(run: Path) -> None:
    before = list_of(run).read_bytes()
    save(run, LAST_GOOD)  # no checkpoint to resume from
    save(run / "change-1", "checkpoint_9")  # of another run, inside
    mend_snapshot(Location.of(run))
    assert list_of(run).read_bytes() == before
    assert started(run) == NAMES


def test_a_damaged_checkpoint_may_be_deleted_as_the_error_advises(run: Path) -> None:
    # Ray refused to start: its list still had the folder.
    (run / NAMES[2] / STATE_FILE).unlink()  # a folder that was only half deleted, too
    for file in (STATE_FILE, RUN_FILE):
        (run / NAMES[1] / file).unlink()
    (run / NAMES[1]).rmdir()
    with pytest.raises(CheckpointManagerInitializationError):
        started(run)
    mend_snapshot(Location.of(run))
    assert started(run) == NAMES[:1]


@pytest.mark.parametrize("kept", ["", "half", "another version", "nothing"])
def test_a_list_that_cannot_be_read_is_made_again_from_the_folders(run: Path, kept: str) -> None:
    text = list_of(run).read_text()
    if kept == "nothing":
        list_of(run).unlink()
        assert started(run) == [], "Ray would begin at step 0"
    else:
        other = json.dumps({"ray_version": "9", "checkpoints": []})
        list_of(run).write_text({"": "", "half": text[: len(text) // 2]}.get(kept, other))
        with pytest.raises(CheckpointManagerInitializationError):
            started(run)
    mend_snapshot(Location.of(run))
    assert started(run) == NAMES


def test_a_new_run_has_no_list(tmp_path: Path) -> None:
    mend_snapshot(Location.of(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
