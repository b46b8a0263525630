"""Collects facts about a cluster before a job is sent. It runs on the cluster as a small job.

In: the name of a run or study, and its datasets. Out: a ``ClusterView``. Next:
``poise.cli.submit.preflight``, which checks the facts on the user's machine.
"""

import os
import platform
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from poise import __version__
from poise.config.checkpoint_storage import new_folders, storage_fault
from poise.config.errors import PoiseError, one_line
from poise.config.paths import has_begun, home
from poise.config.shared_folders import Marks, marked, unseen


@dataclass(frozen=True)
class NodeView:
    """Facts that a worker on one node collected."""

    python: str
    ray: str
    poise: str
    executable: str
    tracking_fault: str | None = None
    """Reason why this node cannot reach the MLflow store, or None if it can."""

    storage_fault: str | None = None
    """Reason why this node cannot write checkpoints to POISE_STORAGE, or None if it can."""

    unseen: list[str] = field(default_factory=list)
    """Folders of runs and checkpoints in which the node does not see a file of the head node."""

    dataset_faults: dict[str, str] = field(default_factory=dict)
    """Maps each dataset that the node cannot read to the reason."""


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
    """Makes a ``ClusterView`` from the plain values of ``look_for``.

    Raises:
        PoiseError: the cluster has another Poise, whose facts may have other names.
    """
    nodes = seen["nodes"]
    for name, node in nodes.items():
        if node.get("poise") != __version__:
            raise _another_poise(
                f"{name} has Poise {node.get('poise')}, and this machine has {__version__}"
            )
        _check_fields(name, NodeView, node)
    _check_fields("the head node", ClusterView, seen)
    return ClusterView(**seen | {"nodes": {name: NodeView(**nodes[name]) for name in nodes}})


def _check_fields(
    node: str, kind: type[ClusterView] | type[NodeView], facts: dict[str, Any]
) -> None:
    if facts.keys() != {each.name for each in fields(kind)}:
        raise _another_poise(f"{node} has another build of Poise {__version__} than this machine")


def _another_poise(fault: str) -> PoiseError:
    return PoiseError(
        f"{fault}: install the same Poise on both, or send the job from a checkout of Poise, "
        "which brings its own code"
    )


def look_for(question: dict[str, Any]) -> dict[str, Any]:
    """Returns a ``ClusterView`` as plain values.

    Args:
        question: arguments of ``look``: ``{"study": NAME, "datasets": [FOLDER, …]}``.
    """
    return asdict(look(**question))


def look(study: str | None, datasets: Sequence[str] = ()) -> ClusterView:
    """Checks the head node and every other node.

    The checks are about storage, tracking, datasets, versions and resources.
    """
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
    # If the head node cannot write to POISE_STORAGE, its ``NodeView`` says so.
    folders = new_folders() if storage_fault() is None else [home()]
    with ExitStack() as during_the_calls:
        try:
            marks = during_the_calls.enter_context(marked(folders))
        except OSError as error:
            return replace(view, home_fault=one_line(error, 300))
        nodes = on_every_node(look_from_node, marks, list(datasets))
    return replace(view, nodes=nodes, has_begun=study is not None and has_begun(home() / study))


def look_from_node(marks: Marks, datasets: Sequence[str]) -> NodeView:
    """Collects the facts of one node, in a worker process on that node."""
    import ray

    faults = {dataset: _dataset_fault(dataset) for dataset in datasets}
    return NodeView(
        python=platform.python_version(),
        ray=ray.__version__,
        poise=__version__,
        executable=sys.executable,
        tracking_fault=_tracking_fault(),
        storage_fault=storage_fault(),
        unseen=unseen(marks),
        dataset_faults={dataset: fault for dataset, fault in faults.items() if fault is not None},
    )


def _dataset_fault(dataset: str) -> str | None:
    """Returns the reason why this process cannot read a dataset's manifest, or None if it can."""
    from poise.data.manifest import Manifest

    try:
        Manifest.read(dataset)
    except (OSError, PoiseError) as error:
        return one_line(error, 300)
    return None


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
