"""Sees a mistake as a person sees it who typed it."""

import pytest

from poise.cli.main import run


def mistake(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Runs a command that is refused: status 2, and one line on stderr, which is returned."""
    assert run(words) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    return error
