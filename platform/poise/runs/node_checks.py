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
from poise.config.checkpoint_storage import folders_of_run
from poise.config.errors import PoiseError, first_few
from poise.config.shared_folders import marked, not_shared

Look = Callable[[Sequence[str]], list[str]]
"""Function that takes paths and returns those that do not exist on the node where it runs."""


def lacking(paths: Sequence[str]) -> list[str]:
    """Returns the paths that do not exist on this node."""
    return [path for path in paths if not Path(path).exists()]


def check_nodes(datasets: Iterable[str], name: str, look: Look = lacking) -> None:
    """Checks that every node has the local datasets and shares the folders of a run or study.

    Nodes that an autoscaler starts later are not checked here. Each worker looks for the files of
    its run itself (``config.shared_folders``).

    Args:
        datasets: folders of datasets. A URL with a scheme such as ``s3://`` is skipped.
        name: name of the run or study.
        look: function that runs on every node and returns the missing paths.

    Raises:
        PoiseError: a node lacks a dataset, does not share a folder, or does not answer.
    """
    if len(live_nodes()) < 2:
        return
    local = [path for path in datasets if "://" not in path]
    with marked(folders_of_run(name)) as marks:
        missing = on_every_node(look, [*marks, *local])
    for path in (*marks, *local):
        nodes = [node for node, paths in missing.items() if path in paths]
        if nodes and path in marks:
            raise not_shared(str(Path(path).parent), nodes)
        if nodes:
            raise PoiseError(
                f"the dataset {path}: does not exist on {first_few(nodes)} ({len(nodes)} of the "
                f"cluster's {len(missing)} nodes); copy it there, or use storage that every node "
                f"reaches, such as /shared/{Path(path).name}"
            )
