"""`poise submit` finds a mistake here, before anything travels."""

import pytest

from tests.cli.mistakes import mistake


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--", "pretran", "recipe.yaml"], "found 'pretran'"),
        (["--", "poise"], "found nothing"),
        (["--", "submit", "--", "doctor"], "found 'submit'"),
        (["--name", "my job", "--", "doctor"], "--name my job: use letters"),
        (["--", "poise", "doctor"], "no cluster is named"),
        (["--address", "http://127.0.0.1:1", "--", "doctor"], "no Ray dashboard answers"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    words: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("POISE_HOME", raising=False)
    assert expected in mistake(["submit", *words], capsys)
