"""Finds the ports of a node on which other machines can reach Ray or MLflow.

In: the processes of this machine. Out: a ``NodeExposure``. Next: ``poise.cli.doctor_cluster``,
which collects the result of every node.
"""

import ipaddress
import os
from dataclasses import asdict, dataclass
from typing import Any, Literal

import psutil

from poise.cluster.authentication import MODE, token_file
from poise.cluster.connection import start_ray
from poise.cluster.nodes import on_every_node

Reach = Literal["this machine", "the private network", "every network"]

_OURS = ("ray", "gcs_server", "raylet", "mlflow")
"""Words by which the command lines of Ray's and MLflow's processes are recognised."""

_FIRST_WORDS = 4
"""Number of first words of a command line that may contain the program's name."""


@dataclass(frozen=True)
class OpenPort:
    """Port on which a process of Ray or MLflow listens."""

    port: int
    address: str
    program: str

    @property
    def reach(self) -> Reach:
        """Machines that can connect to the port, judged by its address alone.

        A firewall may block some of these machines.
        """
        return reach_of(self.address)


@dataclass(frozen=True)
class NodeExposure:
    """Ports and files of one node that other machines or other users can reach."""

    ports: tuple[OpenPort, ...]
    asks_for_token: bool
    """Whether Ray was started with token authentication on this node."""

    loose_token: str | None
    """Token file that other users of the machine can read; None if there is no such file."""


def reach_of(address: str) -> Reach:
    """Returns which machines can connect to a socket that listens at an address."""
    number = ipaddress.ip_address(address.partition("%")[0])
    if number.is_loopback:
        return "this machine"
    if number.is_unspecified or not number.is_private:
        return "every network"
    return "the private network"


def exposure() -> NodeExposure:
    """Lists the ports on which this user's processes of Ray and MLflow listen on this machine."""
    found = {}
    for process in psutil.process_iter():
        for port in _listening(process):
            found[port.port, port.address] = port
    return NodeExposure(
        ports=tuple(sorted(found.values(), key=lambda each: (each.port, each.address))),
        asks_for_token=os.environ.get(MODE, "").lower() == "token",
        loose_token=_loose_token(),
    )


def exposures_from(found: dict[str, Any]) -> dict[str, NodeExposure]:
    """Converts the result of ``of_all_nodes``: maps each node's name to its ``NodeExposure``."""
    return {
        name: NodeExposure(
            tuple(OpenPort(**port) for port in node["ports"]),
            node["asks_for_token"],
            node["loose_token"],
        )
        for name, node in found.items()
    }


def _listening(process: psutil.Process) -> list[OpenPort]:
    try:
        words = " ".join([process.name(), *process.cmdline()[:_FIRST_WORDS]])
        if not any(word in words for word in _OURS):
            return []
        sockets, program = process.net_connections("tcp"), process.name()
    except psutil.Error:  # the process has ended, or belongs to another user
        return []
    return [
        OpenPort(each.laddr.port, each.laddr.ip, program)
        for each in sockets
        if each.status == psutil.CONN_LISTEN
    ]


def _loose_token() -> str | None:
    path = token_file()
    try:
        return str(path) if path.stat().st_mode & 0o077 else None
    except OSError:
        return None


def of_all_nodes(_: None) -> dict[str, Any]:
    """Maps each node's name to the fields of its ``NodeExposure``, as dicts and lists."""
    start_ray()
    return {name: asdict(node) for name, node in on_every_node(exposure).items()}
