"""`poise doctor --cluster` says what a cluster offers, and to whom."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from poise.cli.doctor_cluster import check_dashboard, check_tracking, judge_node
from poise.cli.main import run
from poise.cluster.open_ports import NodeExposure, OpenPort

GCS = OpenPort(6379, "0.0.0.0", "gcs_server")
DASHBOARD = OpenPort(8265, "127.0.0.1", "python")
AGENT = OpenPort(52365, "10.0.0.4", "python")


class Server(HTTPServer):
    """A server that gives every request the same status."""

    status = 200


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_a_dashboard_without_a_token_is_broken_and_the_fix_makes_one(server: Server) -> None:
    finding = check_dashboard(_url(server))
    assert finding.state == "broken" and "needs no token" in finding.found
    assert finding.fix is not None and "RAY_AUTH_MODE=token" in finding.fix
    server.status = 401
    assert check_dashboard(_url(server)).state == "works"


def test_an_mlflow_server_without_a_password_is_fine_only_on_this_machine(server: Server) -> None:
    finding = check_tracking(_url(server))
    assert finding is not None and "on this machine alone" in finding.found
    server.status = 401
    finding = check_tracking(_url(server))
    assert finding is not None and "asks who you are" in finding.found
    assert check_tracking("sqlite:////a/mlflow.db") is None


def test_ports_are_told_with_their_programs_and_networks() -> None:
    (finding,) = judge_node("head", NodeExposure((GCS, DASHBOARD, AGENT), True, None))
    assert finding.state == "warning"
    assert "gcs_server 6379 on every network" in finding.found
    assert "python 52365 on the private network" in finding.found
    assert "8265" not in finding.found, "only this machine reaches it"


def test_open_ports_without_a_token_are_broken() -> None:
    (finding,) = judge_node("head", NodeExposure((GCS,), False, None))
    assert finding.state == "broken" and "asks for no token" in finding.found


def test_a_node_that_only_itself_reaches_is_fine_and_its_token_is_looked_at() -> None:
    closed, token = judge_node("head", NodeExposure((DASHBOARD,), True, "/home/me/.ray/auth_token"))
    assert closed.state == "works"
    assert (token.state, token.fix) == ("warning", "chmod 600 /home/me/.ray/auth_token")


def test_a_cluster_that_does_not_answer_is_one_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert run(["doctor", "--cluster", "--address", "http://127.0.0.1:1", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["fix"].startswith("--address http://127.0.0.1:1: no Ray dashboard answers")


def test_an_address_without_cluster_is_refused_and_not_ignored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["doctor", "--address", "http://127.0.0.1:1"]) == 2
    assert "--address is for --cluster" in capsys.readouterr().err
