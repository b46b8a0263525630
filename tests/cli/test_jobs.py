"""`poise jobs` finds a mistake before it asks a cluster."""

import pytest

from tests.cli.mistakes import mistake


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["list"], "no cluster is named"),
        (["list", "--address", "http://127.0.0.1:1"], "no Ray dashboard answers"),
        (["stop", "--address", "http://127.0.0.1:1", "job"], "no Ray dashboard answers"),
        (["logs", "--cluster", "nowhere.yaml", "job"], "--cluster nowhere.yaml: no such file"),
        (["attach", "--cluster", "a.yaml", "--address", "b:1", "job"], "name one cluster"),
        (["stop"], "JOB is missing"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    words: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert expected in mistake(["jobs", *words], capsys)
