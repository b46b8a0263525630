"""What `poise ui` refuses before it starts a server."""

import pytest

from poise.cli.main import run


def test_an_experiment_beside_report_is_refused_and_not_ignored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["ui", "scenes", "--report"]) == 2
    assert "leave scenes out" in capsys.readouterr().err
