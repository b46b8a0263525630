"""Checkpoints are whole or absent, wherever they are stored."""

import errno
import fcntl
import os
import shutil
import threading
from datetime import datetime
from pathlib import Path
from typing import IO
from uuid import uuid4

import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from poise.config import locations
from poise.config.locations import Location
from poise.training import checkpoint_store, in_process
from poise.training.checkpoint import RUN_FILE, STATE_FILE, checkpoints, newest_checkpoint
from poise.training.checkpoint_store import (
    LAST_GOOD,
    keep_last_good,
    later_name,
    store_checkpoint,
    time_name,
)
from poise.training.in_process import CheckpointKeeper


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    (folder / "backbone").mkdir(parents=True)
    for name in (STATE_FILE, RUN_FILE, "backbone/config.json"):
        (folder / name).write_text(name)
    return folder


def broken() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_checkpoint_that_is_being_written_is_none(scratch: Path, tmp_path: Path) -> None:
    # A killed process leaves such a folder. It was once taken for the newest checkpoint.
    run = tmp_path / "run"
    shutil.copytree(scratch, run / ".checkpoint_2026-01-01.partial")
    assert newest_checkpoint(run) is None
    store_checkpoint(scratch, Location.of(run) / "checkpoint_2026-01-01")
    assert [each.name for each in checkpoints(run)] == ["checkpoint_2026-01-01"]
    assert not (run / ".checkpoint_2026-01-01.partial").exists()


def test_a_copy_that_fails_leaves_nothing(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise broken()

    monkeypatch.setattr(Path, "rename", fail)
    (tmp_path / "run").mkdir()
    with pytest.raises(OSError, match="Input/output"):
        store_checkpoint(scratch, Location.of(tmp_path / "run" / "checkpoint_1"))
    assert names_in(tmp_path / "run") == set()


def names_in(run: Path) -> set[str]:
    return {path.name for path in run.iterdir()} - {".saving.lock"}


def test_what_a_killed_save_left_is_removed_by_the_next_save(scratch: Path, tmp_path: Path) -> None:
    # Under Ray Train it stayed for ever, as large as a checkpoint.
    run = tmp_path / "run"
    for name in ("checkpoint_1", "checkpoint_9", LAST_GOOD):  # 9: of a clock that is ahead
        shutil.copytree(scratch, run / f".{name}.partial")
    (run / ".run.json.123.partial").write_text("of another writer")
    store_checkpoint(scratch, Location.of(run) / "checkpoint_2")
    assert names_in(run) == {"checkpoint_2", ".run.json.123.partial"}


def test_what_another_worker_is_writing_is_not_removed(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, copies, goes_on = Location.of(tmp_path / "run"), threading.Event(), threading.Event()
    run.local.mkdir()

    def slowly(path: Path) -> None:
        if path.parent.name == ".checkpoint_1.partial":
            copies.set()
            goes_on.wait()

    monkeypatch.setattr(checkpoint_store, "_sync", slowly)
    other = threading.Thread(target=store_checkpoint, args=(scratch, run / "checkpoint_1"))
    other.start()
    copies.wait()
    store_checkpoint(scratch, run / "checkpoint_2")
    assert names_in(run.local) == {".checkpoint_1.partial", "checkpoint_2"}
    goes_on.set()
    other.join()
    assert names_in(run.local) == {"checkpoint_1", "checkpoint_2"}


def test_a_checkpoint_after_the_clock_was_set_back_is_still_the_newest(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At the end of summer time the new checkpoint was deleted as the oldest, and the old one kept.
    class SetBack(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "SetBack":
            return cls(2026, 10, 25, 2, 30)

    keep = CheckpointKeeper(Location.of(tmp_path / "run"), most=1)
    (tmp_path / "run").mkdir()
    before = "checkpoint_2026-10-25_02-59-59.999999"
    shutil.copytree(scratch, tmp_path / "run" / before)
    monkeypatch.setattr(in_process, "datetime", SetBack)
    keep({}, scratch)
    assert [each.name for each in checkpoints(tmp_path / "run")] == [
        "checkpoint_2026-10-25_03-00-00.000000"
    ]


def test_two_checkpoints_of_one_moment_have_two_names(tmp_path: Path) -> None:
    run, name = Location.of(tmp_path), "checkpoint_2026-10-25_02-30-00.000000"
    assert later_name(run, name) == name
    (tmp_path / name).mkdir()
    assert later_name(run, name) == "checkpoint_2026-10-25_02-30-00.000001"


def test_a_file_of_ray_beside_the_checkpoints_changes_no_name(tmp_path: Path) -> None:
    # Each name was made longer than this file's, until no file system took it.
    (tmp_path / "checkpoint_manager_snapshot.json").touch()
    name = "checkpoint_2026-10-25_02-30-00.000000"
    assert later_name(Location.of(tmp_path), name) == name


def test_without_locks_a_checkpoint_is_stored_and_nothing_is_removed(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    run = tmp_path / "run"
    shutil.copytree(scratch, run / ".checkpoint_1.partial")
    store_checkpoint(scratch, Location.of(run) / "checkpoint_2")
    assert names_in(run) == {".checkpoint_1.partial", "checkpoint_2"}


def test_an_upload_that_is_cut_off_is_no_checkpoint_even_if_nothing_can_be_deleted(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half of the tensors lay beside the whole history, and looked like a checkpoint.
    run = Location.of(f"fsspec+memory://{uuid4().hex}/run")

    def cut_off(source: IO[bytes], target: IO[bytes], _: object) -> None:
        target.write(source.read(4))
        if source.read():
            raise KeyboardInterrupt

    def refuse(*_: object, **__: object) -> None:
        raise broken()

    with monkeypatch.context() as patch:
        patch.setattr(locations, "copy_pieces", cut_off)
        patch.setattr(MemoryFileSystem, "rm", refuse)
        (scratch / "backbone/config.json").write_text("{}")
        with pytest.raises(KeyboardInterrupt):
            store_checkpoint(scratch, run / "checkpoint_1")
    assert (run / "checkpoint_1" / STATE_FILE).read_bytes() == b"stat"
    assert checkpoints(run) == []
    store_checkpoint(scratch, run / "checkpoint_1")
    assert [each.name for each in checkpoints(run)] == ["checkpoint_1"]
    assert (run / "checkpoint_1" / STATE_FILE).read_text() == STATE_FILE


def test_what_killed_uploads_left_in_object_storage_is_removed_by_a_later_save(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Location.of(f"fsspec+memory://{uuid4().hex}/run")
    old, new, newer, newest = (time_name(datetime(2026, 1, day)) for day in range(1, 5))
    for name in (old, newest):  # newest: of a clock that is ahead, or of another worker
        (run / name / STATE_FILE).write_text("half of it")
    (run / "pictures" / "a.png").write_text("no checkpoint")
    store_checkpoint(scratch, run / new)
    assert set(run.names()) == {old, new, newest, "pictures"}, "someone may still write them"
    monkeypatch.setattr(checkpoint_store, "_CUT_OFF_NS", -1)  # this storage tells no times
    store_checkpoint(scratch, run / newer)
    assert set(run.names()) == {new, newer, newest, "pictures"}


def test_a_diverged_run_that_keeps_one_checkpoint_keeps_the_last_good_one_besides(
    scratch: Path, tmp_path: Path
) -> None:
    run = Location.of(tmp_path / "run")
    keep_last_good(run)
    assert run.names() == [], "there was none yet"
    store_checkpoint(scratch, run / "checkpoint_2026-01-01")
    keep_last_good(run)
    newest = newest_checkpoint(run)
    assert newest is not None and newest.name == "checkpoint_2026-01-01"
    (run / "checkpoint_2026-01-01").delete_folder()
    assert (run / LAST_GOOD / "backbone/config.json").read_text() == "backbone/config.json"
