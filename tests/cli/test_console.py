"""Tables and marks: plain where nobody looks, readable at 80 columns where somebody does."""

import io
import sys

import pytest

from poise.cli import console


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_piped_table_has_one_line_per_row_and_aligned_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.print_table(["trial", "k-NN"], [["warm", 9.5], ["a much longer name", 61.25]])
    assert capsys.readouterr().out.splitlines() == [
        "trial                k-NN",
        "warm                  9.5",
        "a much longer name  61.25",
    ]


def test_a_terminals_table_folds_long_cells_and_loses_none_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    settings = "objective.teacher_temp=0.04 " * 6
    console.print_table(["trial", "settings"], [["[bold]3", settings]])
    lines = terminal.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert terminal.getvalue().count("0.04") == 6
    assert "[bold]3" in terminal.getvalue(), "a cell is text, not markup"


def test_marks_fall_back_to_what_the_encoding_has() -> None:
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    states: list[console.State] = ["works", "warning", "broken"]
    assert [console.mark(state, latin) for state in states] == ["ok", "!", "x"]
    assert [console.mark(state, _Terminal()) for state in states] == ["✓", "!", "✗"]
