import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from poise.cli.main import run as poise
from poise.tracking.registry.version import RegisteredFigure, stored_tags
from poise.tracking.store import open_store
from tests.tracking.registry.test_version_search import add

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def registered(poise_home: Path) -> None:
    store = open_store()
    add(store, "vit", 60.0, verdict="healthy")
    add(store, "vit", 70.0, verdict="diverged")


def test_a_promotion_says_what_passed_and_can_be_undone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert poise(["models", "promote", "vit/1", "--to", "best", "--why", "the first"]) == 0
    printed = capsys.readouterr().out
    assert "verdicts: its verdict is healthy" in printed
    assert printed.endswith("models:/vit@best is version 1 now\n")
    assert poise(["models", "list", "--alias", "best"]) == 0
    assert "vit/1  @best" in capsys.readouterr().out
    assert poise(["models", "promote", "vit", "--to", "best", "--undo"]) == 0
    assert capsys.readouterr().out == "models:/vit@best names no version any more\n"


def test_a_version_that_fails_a_gate_keeps_its_aliases(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert poise(["models", "promote", "vit/2", "--to", "best", "--why", "x"]) == 2
    captured = capsys.readouterr()
    assert "verdicts: its verdict is diverged" in captured.out
    (line,) = captured.err.splitlines()
    assert line == (
        "error: models:/vit/2: was not promoted to @best, because 1 of 4 gates failed: verdicts"
    )
    assert open_store().client.get_registered_model("vit").aliases == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vit/1", "--to", "best"], "--why: write a reason"),
        (["vit/9", "--to", "best", "--why", "x"], "has versions 1, 2"),
        (["vit/1", "--to", "v2", "--why", "x"], "choose another"),
        (["vit/1", "--to", "best", "--why", "x", "--gates", "lost.yaml"], "lost.yaml"),
        (["vit", "--to", "best", "--undo"], "there is no promotion to undo"),
        (["vit/1", "--to", "best", "--undo"], "there is no promotion to undo"),
        (["vit", "--to", "best", "--undo", "--dry-run"], "together with --dry-run"),
        (["vit", "--to", "best", "--undo", "--why", "x"], "together with --why"),
        (["vit", "--to", "best", "--undo", "--gates", "x.yaml"], "together with --gates"),
    ],
)
def test_a_wrong_request_is_one_line_and_changes_nothing(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert poise(["models", "promote", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert open_store().client.get_registered_model("vit").aliases == {}


def test_a_dry_run_only_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert poise(["models", "promote", "vit/1", "--to", "best", "--dry-run", "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["gates"] and all(result["passed"] for result in checked["gates"])
    assert (checked["alias"], checked["promoted"]) == ("models:/vit@best", False)
    assert open_store().client.get_registered_model("vit").aliases == {}


def test_a_script_learns_which_alias_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["models", "promote", "vit/1", "--to", "best", "--why", "the first"]
    assert poise([*words, "--quiet"]) == 0
    assert capsys.readouterr().out == "models:/vit@best\n"
    assert poise(["models", "promote", "vit", "--to", "best", "--undo", "--json"]) == 0
    undone = json.loads(capsys.readouterr().out)
    assert undone == {"alias": "models:/vit@best", "version": None, "promoted": False}
    assert poise(["models", "promote", "vit/2", "--to", "best", "--why", "x", "--json"]) == 2
    refused = json.loads(capsys.readouterr().out)
    assert not refused["promoted"] and not all(gate["passed"] for gate in refused["gates"])


def test_two_versions_are_compared_for_programs_and_for_scripts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "models.html"
    words = ["models", "compare", "vit/1", "vit/2", "--out", str(page)]
    assert poise([*words, "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert [model["uri"] for model in compared["models"]] == ["models:/vit/1", "models:/vit/2"]
    assert compared["page"] == str(page) and page.is_file()
    assert poise([*words, "--quiet"]) == 0
    assert capsys.readouterr().out == f"{page}\n"
    assert poise(["models", "diff", "vit/1", "vit/2", "--json"]) == 0
    differing = json.loads(capsys.readouterr().out)
    assert poise(["models", "diff", "vit/1", "vit/2", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines() == list(differing)
    assert poise(["models", "lineage", "vit/1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["model"] == "models:/vit/1"
    assert poise(["models", "list", "--sort", "eval/knn_top1", "--quiet"]) == 0
    assert capsys.readouterr().out == "vit/2\nvit/1\n"


def test_a_list_is_filtered_sorted_and_limited(capsys: pytest.CaptureFixture[str]) -> None:
    poise(["models", "list", "--metric", "eval/knn_top1>=65"])
    _, row = capsys.readouterr().out.splitlines()
    assert row.split()[:4] == ["vit/2", "-", "70.0", "%"]
    poise(["models", "list", "--sort", "eval/knn_top1:asc", "--json", "--limit", "1"])
    captured = capsys.readouterr()
    assert [each["uri"] for each in json.loads(captured.out)] == ["models:/vit/1"]
    assert captured.err == "1 of 2 versions; --limit 0 prints all\n"
    poise(["models", "list", "--verdict", "forgetting"])
    assert "no version meets these conditions" in capsys.readouterr().out


def test_a_version_whose_files_are_gone_is_shown_with_its_promotions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    poise(["models", "promote", "vit/1", "--to", "best", "--why", "the first"])
    capsys.readouterr()
    assert poise(["models", "show", "vit/1"]) == 0
    shown = capsys.readouterr().out
    assert "60.0 %" in shown and "promoted    @best" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("files ")]
    assert "its files cannot be read" in line and "models:/vit/1" in line
    assert poise(["models", "show", "vit/1", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["files"], described["promotions"][0]["why"]) == ({}, "the first")
    assert "models:/vit/1" in described["files_fault"]


def test_figures_of_different_datasets_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for dataset in ("photos", "drawings"):
        figure = RegisteredFigure(50.0, "%", 48, 52, "knn/dino-v1", dataset)
        tags = stored_tags({"metric": "eval/knn_top1"}, {"eval/knn_top1": figure})
        store = open_store()
        store.registry.create_registered_model(dataset)
        store.client.create_model_version(dataset, "/nowhere", tags=tags, await_creation_for=0)
    assert poise(["models", "list", "--sort", "eval/knn_top1"]) == 0
    told = capsys.readouterr().err
    assert "knn/dino-v1 on drawings" in told and "knn/dino-v1 on photos" in told
    words = ["models", "compare", "photos", "drawings", "--out", str(tmp_path / "page.html")]
    assert poise(words) == 0
    compared = capsys.readouterr().out
    assert "50.0 % (48.0 to 52.0), knn/dino-v1 on photos" in compared
    assert "Do not compare figures that end in a protocol" in compared


def test_gc_goes_on_after_what_it_cannot_delete(
    poise_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [poise_home / "models" / "gone" / number for number in ("1", "2")]
    for folder in folders:
        folder.mkdir(parents=True)
    plain = shutil.rmtree

    def refuse_first(folder: Path, **options: Any) -> None:
        if folder == folders[0]:
            raise PermissionError(13, "Permission denied")
        plain(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", refuse_first)
    assert poise(["models", "gc", "--yes", "--json"]) == 2
    captured = capsys.readouterr()
    assert [each["name"] for each in json.loads(captured.out)] == ["gone/2"]
    assert "1 not deleted:" in captured.err and str(folders[0]) in captured.err
    assert folders[0].exists() and not folders[1].exists()


def test_gc_deletes_nothing_without_a_yes(
    poise_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = poise_home / "models" / "gone" / "1"
    copy.mkdir(parents=True)
    (copy / "weights").write_bytes(bytes(2**20))
    assert poise(["models", "gc", "--dry-run"]) == 0
    assert "gone/1" in capsys.readouterr().out
    assert poise(["models", "gc"]) == 0
    captured = capsys.readouterr()
    assert "1.0 MiB" in captured.out and "nothing was deleted" in captured.err
    assert copy.exists()
    assert poise(["models", "gc", "--dry-run", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["gone/1"]
    assert poise(["models", "gc", "--yes", "--quiet"]) == 0
    assert tuple(capsys.readouterr()) == ("gone/1\n", "")
    assert not copy.exists()
