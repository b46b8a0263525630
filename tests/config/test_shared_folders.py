"""Folders that machines share, or that only have the same name."""

from pathlib import Path

import pytest

from poise.config.checkpoint_storage import VARIABLE, folders_of_run, keep_storage, new_folders
from poise.config.errors import PoiseError
from poise.config.shared_folders import check_shared, marked, unseen


def test_a_marker_is_there_as_long_as_it_is_needed(tmp_path: Path) -> None:
    with marked([tmp_path / "new", tmp_path / "new"]) as marks:
        assert len(marks) == 1
        check_shared(marks, "10.0.0.6")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_of_the_same_name_on_another_disk_is_refused_with_node_and_fix(
    tmp_path: Path,
) -> None:
    # Nodes that an autoscaler added later wrote records and checkpoints to their own disks.
    with marked([tmp_path / "shared", tmp_path / "scratch"]) as marks:
        Path(marks[1]).unlink()
        assert unseen(marks) == [str(tmp_path / "scratch")]
        with pytest.raises(PoiseError, match=r"scratch: is not shared: .* by 10.0.0.6; set POISE"):
            check_shared(marks, "10.0.0.6")


def test_a_local_folder_of_checkpoints_must_be_shared_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, storage = tmp_path / "home", tmp_path / "storage"
    monkeypatch.setenv("POISE_HOME", str(home))
    (home / "a").mkdir(parents=True)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert set(new_folders()) == {home}
    assert set(folders_of_run("a")) == {home / "a"}
    monkeypatch.setenv(VARIABLE, str(storage))
    keep_storage(home / "a")
    assert new_folders() == [home, storage]
    assert folders_of_run("a") == [home / "a", storage / "a"]
    monkeypatch.setenv(VARIABLE, "s3://bucket/runs")
    assert new_folders() == [home]
