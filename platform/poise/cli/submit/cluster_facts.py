"""Collects facts about a cluster before a job is sent. It runs on the cluster as a small job.

In: the name of a run or study. Out: a ``ClusterView``. Next: ``poise.cli.submit.preflight``, which
checks the facts on the user's machine.
"""

import os
import platform
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

from poise import __version__
from poise.config.checkpoint_storage import storage_fault
from poise.config.errors import PoiseError, one_line
from poise.config.paths import has_begun, home


@dataclass(frozen=True)
class NodeView:
    """Facts that a worker on one node collected."""

    python: str
    ray: str
    poise: str
    executable: str
    sees_home: bool
    """Whether the node sees a file that the head node wrote to POISE_HOME."""

    tracking_fault: str | None
    """Reason why this node cannot reach the MLflow store, or None if it can."""

    storage_fault: str | None = None
    """Reason why this node cannot write checkpoints to POISE_STORAGE, or None if it can."""


@dataclass(frozen=True)
class ClusterView:
    """Facts about a cluster that a small job collected before the submitted job starts."""

    home: str
    home_fault: str | None = None
    """Reason why the head node cannot store runs in POISE_HOME, or None if it can."""

    has_tracking_server: bool = False
    """Whether runs are tracked by a server or a database, and not in a SQLite file."""

    has_begun: bool = False
    """Whether POISE_HOME contains the run or study, so that it can be resumed."""

    nodes: dict[str, NodeView] = field(default_factory=dict)
    node_resources: list[dict[str, float]] = field(default_factory=list)
    most_resources: dict[str, float] = field(default_factory=dict)
    """Resources of all nodes, including nodes that an autoscaler may add."""


def view_from(seen: dict[str, Any]) -> ClusterView:
    """Makes a ``ClusterView`` from the plain values of ``look_for``."""
    nodes = {name: NodeView(**node) for name, node in seen["nodes"].items()}
    return ClusterView(**seen | {"nodes": nodes})


def look_for(question: dict[str, Any]) -> dict[str, Any]:
    """Returns a ``ClusterView`` as plain values. ``question`` is ``{"study": NAME}``."""
    return asdict(look(question["study"]))


def look(study: str | None) -> ClusterView:
    """Checks storage, tracking, versions and resources on the head node and on every other node."""
    from poise.cluster.connection import start_ray
    from poise.cluster.nodes import live_nodes, on_every_node
    from poise.cluster.resources import most_resources

    start_ray()
    if fault := _tracking_fault():  # also makes a new database before many nodes open it at once
        raise PoiseError(fault)
    view = ClusterView(
        home=str(home()),
        has_tracking_server=_has_tracking_server(),
        node_resources=[node.resources for node in live_nodes()],
        most_resources=most_resources(),
    )
    marker = home() / f".poise-check-{token_hex(8)}"
    try:
        home().mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as error:
        return replace(view, home_fault=one_line(error, 300))
    try:
        nodes = on_every_node(look_from_node, str(marker))
    finally:
        marker.unlink()
    return replace(view, nodes=nodes, has_begun=study is not None and has_begun(home() / study))


def look_from_node(marker: str) -> NodeView:
    """Collects the facts of one node, in a worker process on that node."""
    import ray

    return NodeView(
        python=platform.python_version(),
        ray=ray.__version__,
        poise=__version__,
        executable=sys.executable,
        sees_home=Path(marker).exists(),
        tracking_fault=_tracking_fault(),
        storage_fault=storage_fault(),
    )


def _has_tracking_server() -> bool:
    from poise.tracking.address import read_address

    return read_address(os.environ.get("MLFLOW_TRACKING_URI")).kind != "file"


def _tracking_fault() -> str | None:
    """Returns the error of the MLflow server or database, or None. A SQLite file is not checked."""
    from poise.tracking.store import open_store

    try:
        if _has_tracking_server():
            open_store()
    except PoiseError as error:
        return str(error)
    return None
