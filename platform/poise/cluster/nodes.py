"""Calls a function on every node of the cluster, to test what the node's workers can reach.

In: a function and its arguments. Out: the function's result on each node, by the node's name. Next:
``poise.runs.start_checks`` and the checks before a job is sent.
"""

import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from poise.cluster.resources import draining_nodes
from poise.config.errors import PoiseError, one_line

ANSWER_WITHIN_S = 180.0
"""Longest time in seconds to wait for the results of a function that runs on every node. A new
worker process needs a few seconds, and many times that on a busy machine.
"""

_LOOK_EVERY_S = 5.0
"""Time in seconds between two checks whether the nodes that have not answered are still there."""

_CONNECTS_WITHIN_S = 1.0
"""Longest time in seconds in which a running node accepts a connection."""

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """One node of the cluster to which this process is connected."""

    id: str
    name: str
    """Address of the node. If several nodes have this address, the start of the node's id follows.
    """

    resources: dict[str, float] = field(hash=False)
    """Numbers of CPUs and GPUs, and other resources that Ray assigns to tasks."""

    is_head: bool


def live_nodes() -> list[Node]:
    """Returns the nodes that are running, the head node first."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    shared = Counter(node["NodeManagerAddress"] for node in alive)
    found = [_node(node, shared[node["NodeManagerAddress"]] > 1) for node in alive]
    return sorted(found, key=lambda node: (not node.is_head, node.name))


def this_node() -> str:
    """Returns the address of the node on which this process runs."""
    return str(ray.util.get_node_ip_address())


def nodes_that_answer() -> set[str]:
    """Returns the ids of the nodes that are running, accept a connection and are not drained.

    Ray notices only after some seconds that a node is gone. Until then, Ray would place workers on
    this node, and the run would wait a minute for these workers. A node that Ray drains still
    runs, and counts in ``ray.nodes()``. But it takes no new workers.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    drained = draining_nodes()
    return {node["NodeID"] for node in alive if node["NodeID"] not in drained and _answers(node)}


def _answers(node: dict[str, Any]) -> bool:
    address = node["NodeManagerAddress"], node["NodeManagerPort"]
    try:
        socket.create_connection(address, _CONNECTS_WITHIN_S).close()
    except OSError:
        return False
    return True


def _node(known: dict[str, Any], is_shared: bool) -> Node:
    address, resources = known["NodeManagerAddress"], known["Resources"]
    name = f"{address} ({known['NodeID'][:8]})" if is_shared else address
    return Node(known["NodeID"], name, resources, "node:__internal_head__" in resources)


def is_cpu_node(node: Node) -> bool:
    """Returns True if a node has CPUs and no GPU."""
    return node.resources.get("CPU", 0) >= 1 and not node.resources.get("GPU", 0)


def on_every_node(look: Callable[..., T], *arguments: Any) -> dict[str, T]:
    """Calls a function in a worker process of every node, on all nodes at the same time.

    Nodes that Ray drains are not asked, because they take no new work. A node that is lost or
    drained in the meantime is left out of the result.

    Args:
        look: function of a module that workers can import. The call reserves no CPU.
        arguments: arguments of the function.

    Raises:
        PoiseError: a node does not answer in time, or its workers cannot call the function.
    """
    answers = _answered(_asked(look, arguments))
    errors = {node: _error_of(answer) for node, answer in answers.items()}
    there = nodes_that_answer() if any(errors.values()) else set()
    for node, error in errors.items():
        if error is not None and node.id in there:
            raise PoiseError(
                f"a worker on {node.name} fails ({one_line(error, 300)}); Poise and its libraries "
                "must be installed on every node, in the same versions"
            )
    return {node.name: ray.get(answer) for node, answer in answers.items() if errors[node] is None}


def _asked(look: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[Node, Any]:
    """Starts the function on every node that takes work. Returns Ray's references to the results.

    Ray would let a task for a drained node wait until the node is gone.
    """
    task, there = ray.remote(num_cpus=0, max_retries=0)(look), nodes_that_answer()
    return {
        node: task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)
        ).remote(*arguments)
        for node in live_nodes()
        if node.id in there
    }


def _answered(answers: Mapping[Node, Any]) -> dict[Node, Any]:
    """Waits until every node that still takes work has answered. Returns the complete answers.

    Raises:
        PoiseError: a node does not answer in time.
    """
    latest, late = time.monotonic() + ANSWER_WITHIN_S, dict(answers)
    lost: set[Node] = set()
    while late and time.monotonic() < latest:
        waited = list(late.values())
        complete, _ = ray.wait(waited, num_returns=len(waited), timeout=_LOOK_EVERY_S)
        late = {node: answer for node, answer in late.items() if answer not in complete}
        there = nodes_that_answer() if late else set()
        lost |= {node for node in late if node.id not in there}
        late = {node: answer for node, answer in late.items() if node not in lost}
    if late:
        raise PoiseError(
            f"no worker answers on {', '.join(node.name for node in late)} within "
            f"{ANSWER_WITHIN_S:.0f} s; see `ray status`, and the logs in "
            "/tmp/ray/session_latest/logs there"
        )
    return {node: answer for node, answer in answers.items() if node not in lost}


def _error_of(answer: Any) -> Exception | None:
    try:
        ray.get(answer)
    except ray.exceptions.RayError as error:
        failure: Exception = error
        return failure
    return None
