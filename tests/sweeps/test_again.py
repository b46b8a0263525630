import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.sweeps import begin_study
from poise.sweeps.report.again import report_study
from poise.tracking.runs import create_study_run, set_tags
from poise.tracking.store import open_store
from tests.sweeps.builders import make_record
from tests.tracking.conftest import migrated_file

__all__ = ["migrated_file"]  # a fixture


def test_a_store_that_has_no_run_of_a_study_is_named(space_file: Path, tmp_path: Path) -> None:
    begin_study(str(space_file), name="a")
    with pytest.raises(PoiseError, match=f"report a: MLflow at sqlite:.*{tmp_path.name}.* has no "):
        report_study("a")


def test_a_report_names_the_trial_that_was_registered_though_another_is_better_since(
    space_file: Path, migrated_file: Path
) -> None:
    study = begin_study(str(space_file), name="a")
    shutil.copy(migrated_file, study.folder.parent / "mlflow.db")
    run = create_study_run(open_store(), "scenes", study.name, study.folder)
    for trial, knn in zip(study.trials, (30.0, 50.0), strict=True):
        study.write(replace(make_record(trial.name, knn), trial=trial))
    assert report_study("a").findings.best == "t02-s0", "nothing is registered yet"

    set_tags(run, {"poise.best_trial": "t01-s0", "poise.registered": "models:/scenes/1"})
    page = report_study("a").page
    text = page.with_name("report.md").read_text()
    assert "Trial t01-s0 as `models:/scenes/1`" in text
