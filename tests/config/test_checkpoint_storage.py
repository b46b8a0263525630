"""Where a new run keeps its checkpoints."""

from pathlib import Path

import pytest

from poise.config.checkpoint_storage import STORAGE_FILE, VARIABLE, keep_storage, storage_fault
from poise.config.errors import PoiseError


def test_a_name_stays_free_if_its_storage_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, there = tmp_path / "a", tmp_path / "storage"
    (there / "a" / "checkpoint").mkdir(parents=True)
    monkeypatch.setenv(VARIABLE, str(there))
    folder.mkdir()
    with pytest.raises(PoiseError, match="has checkpoints of another 'a'"):
        keep_storage(folder)
    assert not folder.exists()
    (there / "a" / "checkpoint").rmdir()
    folder.mkdir()
    keep_storage(folder)
    assert (folder / STORAGE_FILE).is_file()


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = tmp_path / "a", tmp_path / "file"
    folder.mkdir()
    file.touch()
    monkeypatch.setenv(VARIABLE, str(file))
    with pytest.raises(PoiseError, match=r"POISE_STORAGE=.*file: cannot be written"):
        keep_storage(folder)


def test_a_storage_is_tried_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert storage_fault() is None
    there = tmp_path / "storage"
    monkeypatch.setenv(VARIABLE, str(there))
    assert storage_fault() is None
    assert list(there.iterdir()) == []
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    fault = storage_fault()
    assert fault is not None
    assert "file" in fault
