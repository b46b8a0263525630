from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.config.files import read_json, write_json


def test_two_that_write_a_file_at_once_do_not_take_each_others_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A trial's process and the study's both write its record. They shared a name for what is not
    # whole yet: the second to finish found nothing under it, and ended with FileNotFoundError.
    path, replace = tmp_path / "trial.json", Path.replace

    def another_comes_between(partial: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        write_json(path, {"by": "the study"})
        return replace(partial, target)

    monkeypatch.setattr(Path, "replace", another_comes_between)
    write_json(path, {"by": "the trial"})
    assert read_json(path) == {"by": "the trial"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_file_as_it_was_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trial.json"
    write_json(path, {"step": 8})

    def full(partial: Path, target: Path) -> Path:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(PoiseError, match=r"trial.json: cannot be written \(No space left"):
        write_json(path, {"step": 16})
    assert read_json(path) == {"step": 8}
    assert list(tmp_path.iterdir()) == [path]
