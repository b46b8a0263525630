"""What surrounds a run: its folder is held, its store is the right one, and a full disk is said."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.runs.session import opened
from poise.tracking.run import create_run
from poise.tracking.run_lock import is_held
from poise.tracking.store import Store
from tests.tracking.conftest import store

__all__ = ["store"]  # a fixture


def test_a_folder_is_held_while_its_store_is_open(store: Store, tmp_path: Path) -> None:
    with opened(tmp_path) as found:
        assert found == store
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_a_finished_run_is_not_opened_in_another_store(
    store: Store, migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A finished study that was resumed against another store overwrote its report, without charts.
    create_run(store, "scenes", "r", tmp_path / "r")
    shutil.copy(migrated_file, tmp_path / "another.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'another.db'}")
    with pytest.raises(PoiseError, match="does not have it; set MLFLOW_TRACKING_URI="):
        opened(tmp_path / "r").__enter__()
    assert not is_held(tmp_path / "r")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/0: file write"),
        RuntimeError("(sqlite3.OperationalError) database or disk is full"),
    ],
)
def test_a_full_disk_is_one_line_whoever_met_it(
    store: Store, tmp_path: Path, error: Exception
) -> None:
    # It was a traceback of 60 lines.
    with pytest.raises(PoiseError, match="the disk is full; free some space"), opened(tmp_path):
        raise error


def test_any_other_error_is_left_as_it_is(store: Store, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="its own"), opened(tmp_path):
        raise RuntimeError("its own")
