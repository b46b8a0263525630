import json
from pathlib import Path

import pytest

from poise.cli.main import run as poise
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
