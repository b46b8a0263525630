import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from poise.config import PoiseError
from poise.config.checkpoint_storage import STORAGE_FILE, checkpoints_of
from poise.config.paths import STUDY_FILE
from poise.studies.records import TRIAL_FILE, Change
from poise.studies.study import stored_study
from poise.studies.study_progress import CONCLUSION_FILE, is_finished, keep_conclusion
from poise.studies.time_budget import CLOCK_FILE, Clock
from poise.tracking.unsent_messages import Outbox
from tests.studies.builders import TEMPERATURE, make_record, make_space, make_study


@pytest.fixture
def poise_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    return tmp_path


def test_a_metric_that_is_no_number_is_null_on_disk_and_nan_again_when_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python writes NaN, which is no JSON: jq and browsers refuse the whole file.
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    study = make_study()
    metrics = {"loss/total": math.nan, "gradient/norm": math.inf, "eval/knn_top1": 31.5}
    study.write(make_record("t01-s0", metrics=metrics))
    text = (study.trial_folder("t01-s0") / TRIAL_FILE).read_text()
    assert json.loads(text, parse_constant=pytest.fail)["metrics"]["loss/total"] is None
    record = study.record("t01-s0")
    assert record is not None
    assert record.metrics == pytest.approx(metrics | {"gradient/norm": math.nan}, nan_ok=True)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mood": "good"}, "got an unexpected keyword argument 'mood'"),
        ({"metrics": None}, "it is no trial"),
        ({"trial": {"name": "t01-s0"}}, "missing 3 required positional arguments"),
        ({"verdict": {"kind": "tired"}}, "it is no trial"),
        ({"state": "asleep"}, "it is no trial"),
        ({"state": None}, "it is no trial"),
        ({"step": "eight"}, "it is no trial"),
        ({"seconds": None}, "it is no trial"),
        ({"trial": 3}, "it is no trial"),
        ({"changes": "none"}, "it is no trial"),
    ],
)
def test_a_trial_of_another_version_is_named_with_its_file_and_the_fix(
    change: dict[str, Any], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    study = make_study()
    study.write(make_record("t01-s0"))
    path = study.trial_folder("t01-s0") / TRIAL_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    for read in (study.records, lambda: study.record("t01-s0")):
        with pytest.raises(PoiseError, match=re.escape(f"{path}: was written by ")) as told:
            read()
        assert complaint in str(told.value) and "runs this trial again" in str(told.value)
    path.write_text("{}")
    with pytest.raises(PoiseError, match="it has no 'verdict'"):
        study.records()


@pytest.mark.parametrize("damaged", [b"", b'{"trial": {"na', b"\xff\x00", b"null", b"[" * 5000])
def test_a_damaged_record_is_set_aside_and_its_trial_is_open_again(
    damaged: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # One truncated file blocked the whole study, and no way out was named.
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    study = make_study()
    for name in ("t01-s0", "t02-s0"):
        study.write(make_record(name))
    path = study.trial_folder("t01-s0") / TRIAL_FILE
    path.write_bytes(damaged)
    assert [record.trial.name for record in study.records()] == ["t02-s0"]
    (aside,) = path.parent.iterdir()
    assert aside.read_bytes() == damaged
    (line,) = caplog.messages
    assert line.startswith(f"{path}: is damaged") and f"it is kept as {aside.name}" in line
    assert study.record("t01-s0") is None
    assert len(caplog.messages) == 1, "it is said once"


def test_a_stray_copy_of_a_trials_folder_is_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    study = make_study()
    study.write(make_record("t01-s0"))
    shutil.copytree(study.trial_folder("t01-s0"), study.folder / "t01-s0 (copy)")
    shutil.copytree(study.trial_folder("t01-s0"), study.trial_folder("t02-s0"))
    assert [record.trial.name for record in study.records()] == ["t01-s0"]
    assert study.record("t02-s0") is None, "it has not begun"


def test_checkpoints_are_found_in_a_study_that_was_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "before"))
    study = make_study()
    kept, donated = (study.folder / trial / "checkpoint_1" for trial in ("t01-s0", "t02-s0"))
    change = Change(4, "t02-s0", str(donated), {TEMPERATURE: 0.05})
    record = make_record("t01-s0", checkpoint=str(kept), changes=(change,))
    study.write(record)
    assert study.record("t01-s0") == record
    kept.mkdir()
    path = study.trial_folder("t01-s0") / TRIAL_FILE
    older = json.loads(path.read_text()) | {"checkpoint": str(kept)}  # it stored the whole path
    (tmp_path / "before").rename(tmp_path / "after")
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "after"))
    for content in (None, older):
        if content is not None:
            (study.trial_folder("t01-s0") / TRIAL_FILE).write_text(json.dumps(content))
        moved = study.record("t01-s0")
        assert moved is not None
        assert moved.checkpoint == str(study.folder / "t01-s0" / "checkpoint_1")
        assert moved.changes[0].checkpoint == str(study.folder / "t02-s0" / "checkpoint_1")


@pytest.mark.parametrize("damaged", [b"", b"[1]", b'{"seconds": "six"}', b"\xff\x00"])
def test_a_damaged_clock_of_a_study_begins_again_and_that_is_said(
    damaged: bytes, poise_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # It was a traceback at every resume of a study with a budget of hours.
    study = make_study()
    study.folder.mkdir()
    (study.folder / CLOCK_FILE).write_bytes(damaged)
    assert Clock(study, lambda: 5.0).read_s() == 0
    (line,) = caplog.messages
    assert "are counted from 0 again" in line
    (aside,) = study.folder.iterdir()
    assert aside.read_bytes() == damaged


@pytest.mark.parametrize("damaged", [b"", b"[1]", b'{"trials": 3}', b"{}"])
def test_a_study_with_a_damaged_conclusion_is_concluded_again(
    damaged: bytes, poise_folder: Path
) -> None:
    study = make_study(make_space(seeds=[0]))
    for name in ("t01-s0", "t02-s0"):
        study.write(make_record(name))
    keep_conclusion(study, study.records())
    assert is_finished(study)
    (study.folder / CONCLUSION_FILE).write_bytes(damaged)
    assert not is_finished(study)


@pytest.mark.parametrize("damaged", [b"", b"[1]", b'"study"', b"{}", b'{"space": 3', b"\xff\x00"])
def test_a_damaged_study_is_one_line_that_says_where_its_trials_are(
    damaged: bytes, poise_folder: Path
) -> None:
    study = make_study()
    study.save()
    (study.folder / STUDY_FILE).write_bytes(damaged)
    with pytest.raises(PoiseError, match=r"begin another") as told:
        stored_study("s", "--resume")
    assert str(study.folder / STUDY_FILE) in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize("damaged", [b"", b"[1]", b'{"storage": 3}', b"{}"])
def test_a_damaged_place_of_checkpoints_is_one_line_with_the_fix(
    damaged: bytes, poise_folder: Path
) -> None:
    # Without it the checkpoints would be looked for in the folder, and the trial begun again.
    study = make_study()
    study.folder.mkdir()
    (study.folder / STORAGE_FILE).write_bytes(damaged)
    with pytest.raises(PoiseError, match=r'storage.json: is damaged: .*; write {"storage": "URI"}'):
        checkpoints_of("s/t01-s0")


@pytest.mark.parametrize("damaged", [b"[1]", b'{"tags": 3}', b'"status"', b"[" * 5000])
def test_a_damaged_message_for_mlflow_does_not_keep_others_from_it(
    damaged: bytes, tmp_path: Path
) -> None:
    # Every command that opened the store ended with a traceback.
    outbox = Outbox(tmp_path, "a")
    outbox.keep({"one": "1"}, "FINISHED")
    assert outbox.status == "FINISHED"
    (outbox.folder / "ending.json").write_bytes(damaged)
    assert outbox.status is None
