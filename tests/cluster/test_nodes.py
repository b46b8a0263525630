"""Nodes of a cluster, without a cluster."""

import socket
from typing import Any

import pytest
import ray
from ray._private.state import state

from poise.cluster.nodes import nodes_that_answer


def test_a_node_has_room_if_its_port_takes_a_connection_and_ray_does_not_drain_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An elastic run counted the node that was being taken from it as room for workers.
    with socket.socket() as up, socket.socket() as gone:
        for each in (up, gone):
            each.bind(("127.0.0.1", 0))
        up.listen()

        def node(name: str, port: int, alive: bool = True) -> dict[str, Any]:
            address = {"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": port}
            return {"NodeID": name, "Alive": alive, **address}

        ports = up.getsockname()[1], gone.getsockname()[1]
        nodes = [node("up", ports[0]), node("gone", ports[1]), node("dead", ports[0], alive=False)]
        nodes.append(node("drained", ports[0]))
        monkeypatch.setattr(ray, "nodes", lambda: nodes)
        monkeypatch.setattr(state, "get_draining_nodes", lambda: {"drained": 0})
        assert nodes_that_answer() == {"up"}
