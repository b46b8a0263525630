"""`poise jobs` finds a mistake before it asks a cluster, and sends the user's token."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

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


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["jobs", "list"], 2),
        (["submit", "--", "doctor"], 2),
        pytest.param(["doctor"], 1, marks=pytest.mark.slow),
    ],
)
def test_a_token_in_the_users_file_is_sent_without_another_variable(
    words: list[str], status: int, tmp_path: Path
) -> None:
    # Ray was loaded before RAY_AUTH_MODE was set, so it sent no token and the cluster said 401.
    sent: list[str | None] = []

    class Dashboard(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent.append(self.headers["Authorization"])
            self.send_error(403)

    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("1f" * 32)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with HTTPServer(("127.0.0.1", 0), Dashboard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        ended = subprocess.run(
            [sys.executable, "-m", "poise.cli.main", *words],
            env=kept | {"HOME": str(tmp_path), "RAY_ADDRESS": address},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        server.shutdown()
    assert ended.returncode == status, ended.stderr
    assert sent[-1] == f"Bearer {'1f' * 32}"
