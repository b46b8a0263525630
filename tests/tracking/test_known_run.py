"""A folder finds its run in MLflow again, and no other folder does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.tracking.ending import reconcile
from poise.tracking.history import find_study_run, is_carried_out
from poise.tracking.known_run import KNOWN_RUN_FILE, check_store, known_run
from poise.tracking.run import Run, create_run, create_study_run, create_trial_run, set_tags
from poise.tracking.run_lock import HOLDER_FILE, SILENT_S, held
from poise.tracking.store import Store, open_store

ELSEWHERE = {"poise.pid_namespace": "pid:[1]"}


def status(run: Run) -> str:
    return str(run.store.client.get_run(run.run_id).info.status)


def test_a_renamed_folder_has_the_run_that_it_had(store: Store, tmp_path: Path) -> None:
    study = create_study_run(store, "scenes", "before", tmp_path / "before")
    (tmp_path / "before").rename(tmp_path / "after")
    found = find_study_run(store, "after", tmp_path / "after")
    assert found is not None and found.run_id == study.run_id
    again = create_study_run(store, "scenes", "after", tmp_path / "after")
    assert again.run_id == study.run_id


@pytest.mark.parametrize("damaged", [b"", b"[1]", b"{}", b'{"run_id": 3, "store": null}', b"\xff"])
def test_a_damaged_link_to_mlflow_is_one_line_with_the_way_on(
    damaged: bytes, tmp_path: Path
) -> None:
    path = tmp_path / KNOWN_RUN_FILE
    path.write_bytes(damaged)
    with pytest.raises(PoiseError, match=rf"{path}: is damaged: .*; `rm {path}` begins another"):
        known_run(tmp_path)


def test_two_machines_with_one_server_and_one_name_have_a_run_each(
    store: Store, tmp_path: Path
) -> None:
    # The second continued the first one's run, and their metrics were mixed.
    runs = [create_run(store, "scenes", "a", tmp_path / host / "a") for host in ("one", "two")]
    assert runs[0].run_id != runs[1].run_id


def test_a_run_of_an_older_version_is_found_by_its_name(store: Store, tmp_path: Path) -> None:
    older = create_run(store, "scenes", "a", tmp_path / "a")
    store.client.delete_tag(older.run_id, "poise.folder")
    (tmp_path / "a" / KNOWN_RUN_FILE).unlink()
    assert create_run(store, "scenes", "a", tmp_path / "a").run_id == older.run_id


def test_another_store_is_refused_with_both_ways_out(
    store: Store, migrated_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    check_store(store, folder)  # nothing is known yet
    run = create_run(store, "scenes", "a", folder)
    check_store(store, folder)
    shutil.copy(migrated_file, tmp_path / "another.db")
    another = open_store(f"sqlite:///{tmp_path / 'another.db'}")
    with pytest.raises(PoiseError) as refused:
        check_store(another, folder)
    for part in (run.run_id, store.uri, another.uri, f"`rm {folder / KNOWN_RUN_FILE}`"):
        assert part in str(refused.value)


def test_a_store_that_was_moved_is_the_same_store(store: Store, tmp_path: Path) -> None:
    create_run(store, "scenes", "a", tmp_path / "a")
    shutil.copy(tmp_path / "home" / "mlflow.db", tmp_path / "moved.db")
    check_store(open_store(f"sqlite:///{tmp_path / 'moved.db'}"), tmp_path / "a")


def test_a_run_in_a_container_of_the_same_name_is_killed_only_once_it_is_silent(
    store: Store, tmp_path: Path
) -> None:
    # `reconcile` trusted host name and process id, which containers share.
    study = create_study_run(store, "scenes", "s", tmp_path / "s")
    trial = create_trial_run(study, "t01-s0", tmp_path / "s" / "t01-s0")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for run in (study, trial):
        set_tags(run, {"poise.pid": ended.pid, **ELSEWHERE})
    with held(tmp_path / "s"):
        beat = tmp_path / "s" / HOLDER_FILE
        beat.write_text(beat.read_text().replace("pid:[", "pid:[1"))  # cannot be looked up
        assert reconcile(store) == []
        assert is_carried_out(study)
        last_s = beat.stat().st_mtime - SILENT_S - 5
        os.utime(beat, (last_s, last_s))
        assert not is_carried_out(study)
        assert set(reconcile(store)) == {study.run_id, trial.run_id}
    assert [status(run) for run in (study, trial)] == ["KILLED", "KILLED"]


def test_a_run_whose_folder_is_on_another_machine_is_left_alone(
    store: Store, tmp_path: Path
) -> None:
    there = create_run(store, "scenes", "a", tmp_path / "a")
    set_tags(there, {"poise.host": "another"})
    shutil.rmtree(tmp_path / "a")
    assert reconcile(store) == []
    create_run(store, "scenes", "a", tmp_path / "a")  # the same path here is another folder
    assert reconcile(store) == []
    assert status(there) == "RUNNING"


def test_a_file_that_names_no_run_is_one_line(tmp_path: Path) -> None:
    (tmp_path / KNOWN_RUN_FILE).write_text("{}")
    with pytest.raises(PoiseError, match="is damaged: it has no 'run_id'"):
        known_run(tmp_path)
