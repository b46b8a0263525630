"""`poise doctor` says what works, and what to do about what doesn't."""

import importlib
import json
import shutil
from pathlib import Path

import pytest

from poise.cli import doctor_checks as checkup
from poise.cli import main
from poise.cli.doctor_checks import Finding


def test_the_report_names_the_fix_and_the_status_says_something_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = [Finding("disk", "works", "9 GiB"), Finding("ray", "broken", "gone", "start it")]
    monkeypatch.setattr("poise.cli.doctor.examine", lambda: iter(findings))
    assert main.run(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["✓", "disk", "9", "GiB"]
    assert lines[1].split() == ["✗", "ray", "gone"]
    assert lines[2].strip() == "fix: start it"

    assert main.run(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["usable"] is False
    assert [finding["state"] for finding in report["findings"]] == ["works", "broken"]


def test_a_library_that_cannot_be_imported_ends_the_examination_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(name: str) -> None:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", load)
    findings = {finding.name: finding for finding in checkup.examine()}
    assert findings["torchvision"].state == "broken"
    assert "nms" in findings["torchvision"].found
    assert "ray" in findings and "gpus" not in findings


def test_looking_at_the_store_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "runs"))
    assert checkup.check_store().state == "works"
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_does_not_answer_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    finding = checkup.check_store()
    assert finding.state == "broken"
    assert finding.fix and "127.0.0.1:1" in finding.fix


@pytest.mark.parametrize("uri", ["http://hunter2@127.0.0.1:1", "postgresql://hunter2@db"])
def test_a_store_that_does_not_answer_is_named_without_its_user(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    finding = checkup.check_store()
    assert finding.fix and "***@" in finding.fix and "hunter2" not in finding.fix


def test_a_cluster_that_does_not_answer_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    finding = checkup.check_ray()
    assert finding.state == "broken"
    assert finding.fix and finding.fix.startswith("RAY_ADDRESS=http://127.0.0.1:1")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no shared memory folder here")
def test_little_shared_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    class _Usage:
        total = 64 * 2**20

    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage)
    finding = checkup.check_shared_memory()
    assert finding is not None and finding.state == "warning"
    assert finding.fix and "--shm-size" in finding.fix


@pytest.mark.ray
@pytest.mark.slow
def test_this_machine_runs_a_task(ray_cluster: None) -> None:
    finding = checkup.check_ray()
    assert finding.state == "works", finding.fix or finding.found
