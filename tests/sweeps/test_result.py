"""What a study's process ends with."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from poise.cli.main import exit_status
from poise.studies.records import TrialRecord
from poise.sweeps.result import StudyResult
from tests.studies.builders import TEMPERATURE, make_record, make_space, make_study


def result_of(*records: TrialRecord) -> StudyResult:
    study = make_study(make_space({TEMPERATURE: {"grid_search": [0.04, 0.05, 0.07]}}), "ablate")
    nothing: Any = SimpleNamespace(command="", url="")
    return StudyResult(study, records, None, None, nothing, "", nothing)


FAILED = make_record("t02-s0", state="failed", verdict=None)


def test_a_failed_trial_ends_the_command_with_a_status_of_its_own_and_the_way_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With status 0 a cluster took the job for done.
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    result = result_of(make_record("t01-s0"), FAILED, make_record("t03-s0"))
    assert exit_status(result.check_failures) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: 1 of 3 trials ended with an error (t02-s0); try again with `")
    assert line.endswith("poise ablate --resume s`")


def test_a_study_whose_trials_all_ended_or_wait_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    assert exit_status(result_of(make_record("t01-s0")).check_failures) == 0
    elsewhere = replace(result_of(FAILED, make_record("t03-s0")), chosen=frozenset({"t03-s0"}))
    assert exit_status(elsewhere.check_failures) == 0, "what --only left out is not its failure"
