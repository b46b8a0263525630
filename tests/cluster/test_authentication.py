"""A token that is at hand is used, and what the user decided stays."""

from pathlib import Path

import pytest

from poise.cluster.authentication import MODE, TOKEN, TOKEN_FILE, use_own_token


@pytest.fixture(autouse=True)
def _no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (MODE, TOKEN, TOKEN_FILE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def _mode(monkeypatch: pytest.MonkeyPatch) -> str | None:
    import os

    use_own_token()
    return os.environ.get(MODE)


def test_without_a_token_ray_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _mode(monkeypatch) is None


def test_a_token_in_a_variable_or_a_file_turns_authentication_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "abc")
    assert _mode(monkeypatch) == "token"
    monkeypatch.delenv(MODE)
    monkeypatch.delenv(TOKEN)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("abc")
    assert _mode(monkeypatch) == "token"


def test_what_the_user_decided_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "abc")
    monkeypatch.setenv(MODE, "disabled")
    assert _mode(monkeypatch) == "disabled"
