"""The tunnel to a launcher's cluster opens, stays open, closes, and says why it does not open."""

import sys
from pathlib import Path

import pytest

from poise.cluster.address import ClusterAddress, check_reachable
from poise.cluster.tunnel import tunnel
from poise.config.errors import PoiseError
from tests.waiting import wait_until

FORWARDER = """
import http.server, sys
assert sys.argv[1:3] == ["dashboard", "--port"]
address = ("127.0.0.1", int(sys.argv[3]))
http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""


ENDING_FORWARDER = """
import http.server, sys
address = ("127.0.0.1", int(sys.argv[3]))
http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).handle_request()
"""
"""Ends after its first connection, as SSH does when the network is lost."""


@pytest.fixture
def launcher_file(tmp_path: Path) -> str:
    path = tmp_path / "cluster.yaml"
    path.write_text("cluster_name: poise\n")
    return str(path)


@pytest.mark.slow
def test_the_dashboard_is_on_this_machine_as_long_as_the_tunnel_is_open(launcher_file: str) -> None:
    with tunnel(launcher_file, (sys.executable, "-c", FORWARDER)) as cluster:
        check_reachable(cluster)
        assert cluster.option == f"--cluster {launcher_file}"
    with pytest.raises(PoiseError, match="no Ray dashboard answers"):
        check_reachable(cluster)


def _is_open(cluster: ClusterAddress) -> bool:
    try:
        check_reachable(cluster)
    except PoiseError:
        return False
    return True


@pytest.mark.slow
def test_a_tunnel_that_ssh_has_ended_is_opened_again_at_the_same_address(
    launcher_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A command that followed a job tried the dead port for ten minutes, and gave up.
    monkeypatch.setattr("poise.cluster.tunnel._LOOK_EVERY_S", 0.05)
    with tunnel(launcher_file, (sys.executable, "-c", ENDING_FORWARDER)) as cluster:
        for _ in range(2):
            wait_until(lambda: _is_open(cluster))
            wait_until(lambda: not _is_open(cluster))


@pytest.mark.slow
def test_a_tunnel_that_does_not_open_says_what_ray_said(launcher_file: str) -> None:
    failing = (sys.executable, "-c", "import sys; sys.exit('Error: no head node is found')")
    with (
        pytest.raises(PoiseError, match=r"Error: no head node is found\); start .*`ray up"),
        tunnel(launcher_file, failing),
    ):
        pass


def test_a_file_that_does_not_exist_is_named() -> None:
    with (
        pytest.raises(PoiseError, match=r"--cluster nowhere.yaml: no such file"),
        tunnel("nowhere.yaml"),
    ):
        pass
