"""Nodes of a cluster, without a cluster."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray._private.state import state
from ray.exceptions import RayError

from poise.cluster import nodes
from poise.cluster.nodes import Node, nodes_that_answer, on_every_node
from poise.config.errors import PoiseError


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


@dataclass
class Nodes:
    """Nodes in the place of Ray's, each with its own behaviour."""

    answers: dict[str, Any]
    """Maps each node to its answer, to an error, or to None if it does not answer."""

    there: set[str]
    """Nodes that take new work."""

    asked: list[str] = field(default_factory=list)
    lost_at_the_first_wait: set[str] = field(default_factory=set)

    def remote(self, **_: Any) -> Callable[[Any], Any]:
        def on(scheduling_strategy: Any) -> Any:
            self.asked.append(scheduling_strategy)
            return SimpleNamespace(remote=lambda: scheduling_strategy)

        return lambda look: SimpleNamespace(options=on)

    def wait(self, waited: list[str], **_: Any) -> tuple[list[str], list[str]]:
        self.there -= self.lost_at_the_first_wait
        complete = [node for node in waited if self.answers[node] is not None]
        return complete, [node for node in waited if node not in complete]

    def get(self, node: str) -> Any:
        if isinstance(self.answers[node], Exception):
            raise self.answers[node]
        return self.answers[node]


def _joined(monkeypatch: pytest.MonkeyPatch, cluster: Nodes) -> None:
    found = [Node(name, name, {"CPU": 1.0}, is_head=False) for name in cluster.answers]
    monkeypatch.setattr(nodes, "live_nodes", lambda: found)
    monkeypatch.setattr(nodes, "NodeAffinitySchedulingStrategy", lambda node, soft: node)
    monkeypatch.setattr(nodes, "nodes_that_answer", lambda: set(cluster.there))
    for name in ("remote", "wait", "get"):
        monkeypatch.setattr(ray, name, getattr(cluster, name))


def test_a_node_that_ray_drains_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    # A job that was sent again just after a preemption waited three minutes, and was refused.
    cluster = Nodes({"up": 1, "drained": None}, {"up"})
    _joined(monkeypatch, cluster)
    assert on_every_node(print) == {"up": 1}
    assert cluster.asked == ["up"]


def test_a_node_that_is_lost_before_it_answers_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {"silent", "failed"}
    answers = {"up": 1, "silent": None, "failed": RayError("the node died")}
    _joined(monkeypatch, Nodes(answers, {"up", *lost}, lost_at_the_first_wait=lost))
    assert on_every_node(print) == {"up": 1}


def test_a_node_that_is_there_and_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "ANSWER_WITHIN_S", 0.01)
    _joined(monkeypatch, Nodes({"up": 1, "silent": None}, {"up", "silent"}))
    with pytest.raises(PoiseError, match="no worker answers on silent within"):
        on_every_node(print)
    _joined(monkeypatch, Nodes({"up": 1, "old": RayError("no module poise")}, {"up", "old"}))
    with pytest.raises(PoiseError, match=r"a worker on old fails \(no module poise\)"):
        on_every_node(print)
