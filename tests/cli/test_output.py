"""What --json and --quiet print, of every command that comes to an end."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from poise.cli.main import app, exit_status, run
from poise.cli.output import Output, as_text, prints
from poise.cli.streams import note, quietly, tells_progress
from poise.config.errors import PoiseError
from tests.data.annotated_files import write_images
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.packages import save_package
from tests.studies.conftest import space_file

__all__ = ["make_dataset", "space_file"]  # fixtures

ENDLESS = {"ui", "jobs logs", "jobs attach"}
"""Commands that print what something else prints, or serve until Ctrl-C."""

REPOSITORY = Path(__file__).resolve().parents[2]


def commands(command: Any = None, *path: str) -> Iterator[tuple[str, Any]]:
    """Every command with its words."""
    command = typer.main.get_command(app) if command is None else command
    if not hasattr(command, "list_commands"):
        yield " ".join(path), command
        return
    for name in command.list_commands(None):
        yield from commands(command.get_command(None, name), *path, name)


def printed(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> str:
    assert run([str(word) for word in words]) == status
    return capsys.readouterr().out


@pytest.mark.slow
def test_every_command_that_ends_prints_json_and_only_its_result() -> None:
    options = {
        name: {option for each in command.params for option in each.opts}
        for name, command in commands()
    }
    assert {*options} > ENDLESS
    lacking = {name for name, known in options.items() if not {"--json", "--quiet"} <= known}
    assert lacking == ENDLESS


@pytest.mark.slow
def test_every_command_has_an_example_of_itself() -> None:
    lacking = [
        name for name, each in commands() if f"Example: poise {name}" not in (each.help or "")
    ]
    assert not lacking


@pytest.mark.slow
def test_the_page_of_the_command_line_has_a_row_for_every_command() -> None:
    page = (REPOSITORY / "docs" / "command-line.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `poise ([^`]+)` \|", page, re.MULTILINE)
    assert rows == [name for name, _ in commands()]


def example(fails: bool) -> Any:
    @prints
    def command(name: Annotated[str, typer.Argument()] = "it", many: bool = False) -> Output:
        """Find it."""
        print("looking …")
        note("still looking …")
        return Output(
            document=lambda: {"found": name, "loss": float("nan")},
            result=[name],
            show=lambda: print(f"found {name}"),
            failure=PoiseError("something failed") if fails else None,
        )

    return command


@pytest.fixture
def talk(capsys: pytest.CaptureFixture[str]) -> Any:
    """What the example prints: its stdout and its stderr."""

    def call(fails: bool = False, **options: bool) -> tuple[str, str]:
        values = {"name": "it", "many": False, "as_json": False, "quiet": False} | options
        try:
            example(fails)(**values)
        except PoiseError as error:
            print(f"error: {error}")
        found = capsys.readouterr()
        return found.out, found.err

    return call


def test_people_see_progress_and_the_answer(talk: Any) -> None:
    out, err = talk()
    assert out == "looking …\nfound it\n"
    assert err.startswith("still looking …\n")


def test_json_is_one_document_and_progress_is_on_stderr(talk: Any) -> None:
    out, err = talk(as_json=True)
    assert json.loads(out) == {"found": "it", "loss": None}, "JSON has no NaN"
    assert err.startswith("looking …\nstill looking …\n")


def test_quiet_is_the_result_without_progress(talk: Any) -> None:
    out, err = talk(quiet=True)
    assert out == "it\n"
    assert "looking" not in err
    assert tells_progress(), "the next command is quiet too"


def test_both_are_a_document_without_progress(talk: Any) -> None:
    out, err = talk(as_json=True, quiet=True)
    assert json.loads(out)["found"] == "it"
    assert "looking" not in err


@pytest.mark.parametrize("options", [{}, {"as_json": True}, {"quiet": True}])
def test_what_was_found_is_printed_before_what_failed(talk: Any, options: dict[str, bool]) -> None:
    out, _ = talk(fails=True, **options)
    assert out.endswith("error: something failed\n")
    assert "it" in out.removesuffix("error: something failed\n")


def test_a_list_has_a_line_for_each_entry() -> None:
    assert as_text([]) == "[\n\n]"
    entries = [{"a": 1.5}, {"a": float("inf")}]
    assert as_text(entries).splitlines() == ["[", '{"a": 1.5},', '{"a": null}', "]"]


def test_warnings_are_not_progress(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with quietly():
            logging.getLogger("poise.test").info("one of three")
            logging.getLogger("poise.test").warning("the disk is slow")

    assert exit_status(work) == 0
    assert capsys.readouterr().err == "the disk is slow\n"


def test_an_error_leaves_stdout_empty(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--json", "--quiet"):
        assert run(["data", "preview", "nowhere", option]) == 2
        found = capsys.readouterr()
        assert found.out == "" and found.err.startswith("error: nowhere")


def test_a_dataset_is_prepared_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, picture = tmp_path / "scenes", tmp_path / "views.png"
    words = ("data", "prepare", "scenes", dataset, "--num-images", 8)
    made = json.loads(printed(capsys, *words, "--json"))
    assert made["dataset"] == str(dataset)
    assert (made["num_samples"], made["num_shards"], made["done_before"]) == (8, 1, 0)
    assert sum(made["images_by_class"].values()) == 8
    assert json.loads(printed(capsys, *words, "--json"))["done_before"] == 8
    assert printed(capsys, *words, "--quiet") == f"{dataset}\n"
    preview = ("data", "preview", dataset, "--num-images", 1, "--output", picture)
    assert json.loads(printed(capsys, *preview, "--json"))["picture"] == str(picture)
    assert printed(capsys, *preview, "-q") == f"{picture}\n"


@pytest.mark.parametrize("option", [[], ["--json"], ["--quiet"], ["--json", "--quiet"]])
def test_what_may_be_wrong_with_a_dataset_is_said_on_stderr_with_quiet_too(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A script with --quiet trained on images of one class, and no word was said.
    write_images(tmp_path / "photos", "cat/0.jpg", "dog/0.jpg")
    (tmp_path / "photos" / "dog" / "0.jpg").write_bytes(b"")
    words = ["data", "prepare", str(tmp_path / "photos"), str(tmp_path / "out")]
    assert run([*words, "--range", "0", "9", *option]) == 0
    told = capsys.readouterr()
    for warning in (
        "1 image was set aside",
        "only one class has images",
        "--range changes nothing",
    ):
        assert f"warning: {tmp_path / 'out'}: {warning}" in told.err
        assert warning not in told.out


def test_a_dataset_without_a_label_in_its_classes_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "photos", "cat/0.jpg", "dog/0.jpg", "loose.jpg")
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name / "0.jpg").write_bytes(b"")
    words = ("data", "prepare", tmp_path / "photos", tmp_path / "out", "--quiet")
    assert run([str(word) for word in words]) == 0
    assert "no image has a label" in capsys.readouterr().err


@pytest.mark.slow
def test_a_study_is_planned(space_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("ablate", space_file, "seeds=[0,1]", "--dry-run")
    planned = json.loads(printed(capsys, *words, "--json"))
    names = [trial["trial"] for trial in planned["trials"]]
    assert names == ["t01-s0", "t02-s0", "t01-s1", "t02-s1"]
    assert planned["trials"][1]["settings"] == {"objective.teacher_temp": 0.07}
    assert printed(capsys, *words, "--quiet").split() == names


@pytest.mark.slow
def test_a_model_is_measured(
    make_dataset: MakeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, dataset = save_package(tmp_path / "model"), make_dataset("test", [0, 1, 2] * 2)
    words = ("evaluate", "knn", model, dataset, "--bank", dataset, "--k", 1, "--quiet")
    assert run([str(word) for word in words]) == 0
    found = capsys.readouterr()
    lines = [line.split() for line in found.out.splitlines()]
    assert [name.rpartition("/")[2] for _, name, _ in lines] == ["k1_top1", "k1_top5"]
    assert all(0 <= float(value) <= 100 for _, _, value in lines)
    assert found.err == "", "progress was shown"


@pytest.mark.slow
def test_a_video_of_attention_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, frames = save_package(tmp_path / "model"), write_images(tmp_path / "clip", "0.jpg")
    words = ("evaluate", "attention-video", model, frames, tmp_path / "out", "--json")
    drawn = json.loads(printed(capsys, *words))
    assert drawn["frames"] == 1 and Path(drawn["animation"]).is_file()
