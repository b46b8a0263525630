"""Checks that every node of a cluster has the folders that a run reads and writes.

In: folders of datasets, and the cluster that this process joined. Out: nothing, or an error that
names the nodes without a folder. Next: ``poise.runs.session`` and ``poise.sweeps.runner``, before
training starts.

Workers open datasets by their path, and Ray Train writes checkpoints by their path. Without this
check, a missing folder would stop a run only when a worker is placed on that node.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from poise.cluster.nodes import live_nodes, on_every_node
from poise.config.errors import PoiseError, first_few
from poise.config.paths import home

Look = Callable[[Sequence[str]], list[str]]
"""Function that takes paths and returns those that do not exist on the node where it runs."""


def lacking(paths: Sequence[str]) -> list[str]:
    """Returns the paths that do not exist on this node."""
    return [path for path in paths if not Path(path).exists()]


def check_nodes(datasets: Iterable[str], look: Look = lacking) -> None:
    """Checks that every node of the cluster has the local datasets and the folder POISE_HOME.

    A cluster of one node is not checked. Nodes that an autoscaler starts later are not checked.

    Args:
        datasets: folders of datasets. A URL with a scheme such as ``s3://`` is skipped.
        look: function that runs on every node and returns the missing paths.

    Raises:
        PoiseError: a node lacks a path, or a node does not answer.
    """
    if len(live_nodes()) < 2:
        return
    named = {path: f"the dataset {path}" for path in datasets if "://" not in path}
    home().mkdir(parents=True, exist_ok=True)
    named[str(home())] = f"POISE_HOME={home()}"
    missing = on_every_node(look, list(named))
    for path, name in named.items():
        nodes = [node for node, paths in missing.items() if path in paths]
        if nodes:
            raise PoiseError(
                f"{name}: does not exist on {first_few(nodes)} ({len(nodes)} of the cluster's "
                f"{len(missing)} nodes); copy it there, or use storage that every node reaches, "
                f"such as /shared/{Path(path).name}"
            )
