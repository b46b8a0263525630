import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from poise.cli.main import run as poise
from poise.config import PoiseError
from poise.reports.study.files import report_study
from poise.sweeps.planning import begin_study
from poise.tracking.run import create_study_run, set_tags
from poise.tracking.store import open_store
from tests.studies.builders import make_record


@pytest.mark.slow
def test_a_store_that_has_no_run_of_a_study_is_named(
    space_file: Path, migrated_file: Path, tmp_path: Path
) -> None:
    study = begin_study(str(space_file), name="a")
    shutil.copy(migrated_file, study.folder.parent / "mlflow.db")
    with pytest.raises(PoiseError, match=f"report a: MLflow at sqlite:.*{tmp_path.name}.* has no "):
        report_study("a")


@pytest.mark.slow
def test_a_study_is_called_running_while_its_process_lives_and_interrupted_once_it_is_killed(
    space_file: Path, migrated_file: Path
) -> None:
    study = begin_study(str(space_file), name="a")
    shutil.copy(migrated_file, study.folder.parent / "mlflow.db")
    first, second = study.trials
    study.write(replace(make_record(first.name, 30.0), trial=first))
    study.write(replace(make_record(second.name, state="running", verdict=None), trial=second))
    run = create_study_run(open_store(), "scenes", study.name, study.folder)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as holder:
        started_s = psutil.Process(holder.pid).create_time() - psutil.boot_time()
        set_tags(run, {"poise.pid": holder.pid, "poise.process_started_s": started_s})
        text = report_study("a").page.with_name("report.md").read_text()
        assert (
            "**Not finished.** The study is running. 1 of 2 trials is complete. Of the other "
            "trials, 1 is running." in text
        )
        assert "interrupted" not in text and "--resume" not in text
        holder.kill()
    page = report_study("a").page
    assert "1 was interrupted. To continue, run `poise sweep --resume a`" in (
        page.with_name("report.md").read_text()
    )
    lines = page.with_name("report.csv").read_text().splitlines()
    states = [row["state"] for row in csv.DictReader(lines)]
    assert states == ["finished", "interrupted"]


@pytest.mark.slow
def test_a_report_names_the_trial_that_was_registered_though_another_is_better_since(
    space_file: Path, migrated_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = begin_study(str(space_file), name="a")
    shutil.copy(migrated_file, study.folder.parent / "mlflow.db")
    run = create_study_run(open_store(), "scenes", study.name, study.folder)
    for trial, knn in zip(study.trials, (30.0, 50.0), strict=True):
        study.write(replace(make_record(trial.name, knn), trial=trial))
    assert report_study("a").findings.best == "t02-s0", "nothing is registered yet"

    set_tags(run, {"poise.best_trial": "t01-s0", "poise.registered": "models:/scenes/1"})
    assert poise(["report", "a", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    page = Path(written["page"])
    assert list(map(Path, written["files"])) == [
        page,
        page.with_name("report.md"),
        page.with_name("report.csv"),
    ]
    text = page.with_name("report.md").read_text()
    assert all(sentence in text for sentence in written["answer"])
    assert (
        "Poise chose the best healthy trial, t01-s0 (setting t01, seed 0), and registered its "
        "backbone as `models:/scenes/1`." in text
    )
