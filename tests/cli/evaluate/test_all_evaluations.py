"""`poise evaluate all`, from the command line to one table and one page."""

import errno
import json
import re
from pathlib import Path

import pytest

from poise.cli.evaluate import all_evaluations
from poise.cli.evaluate.measured import Evaluation
from poise.cli.main import run
from poise.config.errors import PoiseError
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.evaluation.neighbours import retrieval
from poise.evaluation.report import EvaluationReport, EvaluationTask
from tests.packages import save_package, save_resnet


@pytest.mark.slow
def test_every_evaluation_that_the_dataset_allows_is_in_one_table_and_on_one_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("test", 1), ("train", 0)):
        prepare("scenes", tmp_path / name, PrepareOptions(num_images=48, seed=seed))
    models = [str(save_package(tmp_path / name)) for name in ("one", "two")]
    out = tmp_path / "out"
    words = ["evaluate", "all", *models, str(tmp_path / "test"), "--out", str(out)]
    assert run([*words, "--train", str(tmp_path / "train"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {*found["measured"]} == {
        *("knn", "retrieval", "copies", "registers", "objects", "masks", "segmentation", "map")
    }
    assert found["left_out"] == {"video": "its images have no sequences"}
    page, table = (out / "all.html").read_text(), (out / "all.md").read_text()
    for name, described in found["measured"].items():
        assert [each["label"] for each in described] == ["one", "two"]
        for each in described:
            assert each["protocol"] in page and each["protocol"] in table
            assert all((Path(each["folder"]) / picture).is_file() for picture in each["pictures"])
        assert f"## {name}" in table
    assert table.count("A random order has a map") == 1  # what holds for every model is said once
    assert "data:image/png;base64," in page and "http" not in page.replace("http-equiv", "")


@pytest.mark.slow
def test_one_evaluation_that_fails_does_not_cost_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare("scenes", tmp_path / "test", PrepareOptions(num_images=24, seed=1))
    words = [str(save_package(tmp_path / "one")), str(tmp_path / "test")]
    out = tmp_path / "out"
    given = ("--train", str(tmp_path / "test"), "--out", str(out))
    assert run(["evaluate", "all", *words, *given]) == 0
    printed = capsys.readouterr().out
    assert "left out  segmentation: " in printed  # it may not learn from the images that it scores
    assert "left out  video: its images have no sequences" in printed
    assert f"{out / 'all.html'}" in printed
    assert run(["evaluate", "knn", *words, "--bank", words[1], "--k", "20", "--quiet"]) == 0
    alone = float(capsys.readouterr().out.split("/k20_top1 ")[1].split()[0])
    assert f"{alone:.4g} %" in re.search("k20_top1 .*", printed)[0]  # type: ignore[index]


@pytest.mark.slow
def test_a_residual_network_is_measured_by_every_evaluation_that_reads_no_patches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("test", 1), ("train", 0)):
        prepare("scenes", tmp_path / name, PrepareOptions(num_images=24, seed=seed))
    words = ["evaluate", "all", str(save_resnet(tmp_path / "resnet")), str(tmp_path / "test")]
    out = tmp_path / "out"
    train = str(tmp_path / "train")
    assert run([*words, "--train", train, "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {*found["measured"]} == {"knn", "retrieval", "map"}
    reasons = found["left_out"]
    assert reasons.pop("video") == "its images have no sequences"
    assert {*reasons} == {"copies", "registers", "objects", "masks", "segmentation"}
    assert all("ResNetBackbone: has no patch tokens" in each for each in reasons.values())


@pytest.mark.slow
def test_an_evaluation_that_crashes_is_named_and_the_table_of_the_others_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(task: EvaluationTask) -> EvaluationReport:
        raise ValueError("not 3 but\n4")

    monkeypatch.setattr(retrieval, "measure_retrieval", crash)
    prepare("scenes", tmp_path / "test", PrepareOptions(num_images=24, seed=1))
    out = tmp_path / "out"
    words = ["evaluate", "all", str(save_resnet(tmp_path / "resnet")), str(tmp_path / "test")]
    assert run([*words, "--out", str(out), "--json"]) == 3
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["failed"] == {"retrieval": "ValueError: not 3 but 4"}
    assert {*found["measured"]} == {"knn", "map"}
    assert "Traceback" in printed.err
    assert "1 evaluation failed (retrieval: ValueError: not 3 but 4)" in printed.err
    assert "- Failed: retrieval, with ValueError" in (out / "all.md").read_text()
    assert '<h2 id="failed">' in (out / "all.html").read_text()


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("not 3 but 4"), 3, "; ValueError: not 3 but 4"),
        (PoiseError("no masks"), 2, "; no masks"),
        (OSError(errno.ENOSPC, "", "out"), 2, "out: No space left on device"),
    ],
)
def test_if_nothing_is_measured_the_status_says_whether_an_evaluation_failed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    line: str,
) -> None:
    def stop(task: EvaluationTask) -> EvaluationReport:
        raise error

    monkeypatch.setattr(all_evaluations, "_evaluations", lambda *_: [Evaluation("any", stop)])
    prepare("scenes", tmp_path / "test", PrepareOptions(num_images=2))
    words = ["evaluate", "all", str(save_package(tmp_path / "one")), str(tmp_path / "test")]
    assert run([*words, "--out", str(tmp_path / "out")]) == status
    assert line in capsys.readouterr().err.splitlines()[-1]
