"""Which machines reach which port."""

from dataclasses import asdict
from pathlib import Path

import pytest

from poise.cluster.authentication import TOKEN_FILE
from poise.cluster.open_ports import (
    NodeExposure,
    OpenPort,
    Reach,
    exposure,
    exposures_from,
    of_all_nodes,
    reach_of,
)


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("127.0.0.1", "this machine"),
        ("::1", "this machine"),
        ("10.1.2.3", "the private network"),
        ("192.168.0.9", "the private network"),
        ("fd00::7", "the private network"),
        ("fe80::1%eth0", "the private network"),
        ("0.0.0.0", "every network"),
        ("::", "every network"),
        ("8.8.8.8", "every network"),
    ],
)
def test_the_address_of_a_socket_says_who_can_connect(address: str, reach: Reach) -> None:
    assert reach_of(address) == reach


def test_a_token_that_others_can_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("abc")
    monkeypatch.setenv(TOKEN_FILE, str(token))
    token.chmod(0o644)
    assert exposure().loose_token == str(token)
    token.chmod(0o600)
    assert exposure().loose_token is None


def test_what_a_node_says_travels_as_plain_values() -> None:
    node = NodeExposure((OpenPort(6379, "0.0.0.0", "gcs_server"),), True, None)
    assert exposures_from({"head": asdict(node)}) == {"head": node}


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_the_ports_of_rays_own_processes_are_found_on_every_node() -> None:
    (node,) = exposures_from(of_all_nodes(None)).values()
    assert {"gcs_server", "raylet"} <= {port.program for port in node.ports}
