"""Checks whether a job can run on a cluster, from facts that a small job collected there.

In: a ``ClusterView`` and the job's recipe. Out: notes, or an error about the first fault with its
fix. Next: ``poise.cli.submit``, which sends the job.
"""

import platform
from collections.abc import Callable, Collection, Iterator, Mapping

from ray import __version__ as ray_version

from poise.cli.submit.cluster_facts import ClusterView, NodeView
from poise.config import Recipe
from poise.config.errors import PoiseError, first_few
from poise.config.shared_folders import not_shared
from poise.training.elastic import is_elastic, least_workers


def judge(view: ClusterView, recipe: Recipe | None) -> Iterator[str]:
    """Checks the facts about a cluster. Yields notes that do not stop the job.

    Raises:
        PoiseError: the job would fail or wait forever. The message contains the fix.
    """
    yield from _check_versions(view)
    _check_storage(view)
    _check_datasets(view)
    yield from _check_tracking(view)
    if recipe is not None:
        yield from check_room(view.node_resources, view.most_resources, recipe)


def _check_versions(view: ClusterView) -> Iterator[str]:
    for name, node in view.nodes.items():
        if _minor(node.ray) != _minor(ray_version):
            raise PoiseError(
                f"{name} has Ray {node.ray}, and this machine has {ray_version}: install "
                f"`ray[default]=={node.ray}` here, or `ray=={ray_version}` on every node"
            )
    theirs = sorted({node.python for node in view.nodes.values()})
    if any(_minor(each) != _minor(platform.python_version()) for each in theirs):
        yield (
            f"the cluster runs Python {', '.join(theirs)}, and this machine "
            f"{platform.python_version()}"
        )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _check_storage(view: ClusterView) -> None:
    fix = "set POISE_HOME to storage that every node can write, and send the job again"
    if view.home_fault is not None:
        raise PoiseError(
            f"POISE_HOME={view.home}: cannot be used on the head node ({view.home_fault}); {fix}"
        )
    folder, blind = _first_fault(view, lambda node: node.unseen)
    if blind:
        raise not_shared(folder, blind)
    for name, node in view.nodes.items():
        if node.storage_fault is not None:
            raise PoiseError(
                f"POISE_STORAGE: {name} cannot write there ({node.storage_fault}); give every node "
                "the right to write, or name another place"
            )


def _check_datasets(view: ClusterView) -> None:
    dataset, blind = _first_fault(view, lambda node: node.dataset_faults)
    if blind:
        reason = view.nodes[blind[0]].dataset_faults[dataset]
        raise PoiseError(
            f"the dataset {dataset}: cannot be read on {first_few(blind)} ({reason}); use storage "
            "that every node reaches, and give every node the right to read it"
        )


def _first_fault(
    view: ClusterView, faults: Callable[[NodeView], Collection[str]]
) -> tuple[str, list[str]]:
    """Returns the first folder or dataset with a fault, and the nodes that have this fault.

    If no node has a fault, the list is empty.
    """
    subject = next((each for node in view.nodes.values() for each in faults(node)), "")
    return subject, [name for name, node in view.nodes.items() if subject in faults(node)]


def _check_tracking(view: ClusterView) -> Iterator[str]:
    for name, node in view.nodes.items():
        if node.tracking_fault is not None:
            raise PoiseError(f"on {name}: {node.tracking_fault}")
    if len(view.nodes) > 1 and not view.has_tracking_server:
        yield (
            f"{len(view.nodes)} nodes would track runs in one SQLite file, which can lose data on "
            "shared storage: start an MLflow server (docs/cluster/mlflow.md) and set "
            "MLFLOW_TRACKING_URI"
        )


def check_room(
    nodes: list[dict[str, float]], most: Mapping[str, float], recipe: Recipe
) -> Iterator[str]:
    """Checks that all workers of a run fit on the cluster at the same time.

    Args:
        nodes: resources of every node that is running.
        most: resources of the cluster, including nodes that its autoscaler may add.
        recipe: recipe of the run.

    Raises:
        PoiseError: the workers do not fit, so Ray would wait forever.
    """
    training, least = recipe.training, least_workers(recipe)
    worker = {"CPU": training.cpus_per_worker}
    needs_gpus = training.device == "cuda"
    has_gpus = most.get("GPU", 0) >= least
    if needs_gpus or (training.device != "cpu" and has_gpus):
        worker["GPU"] = 1
    elif training.device != "cpu":
        yield "the cluster has too few GPUs for every worker: the job trains on CPUs"
    for name, each in worker.items():
        wanted, there = each * least, most.get(name, 0)
        if wanted > there:
            other = ", or training.device=any" if needs_gpus else ""
            raise PoiseError(
                f"a run needs {wanted:g} {name}s and the cluster has {there:g}, with those that "
                f"its autoscaler may add; lower {_key(recipe)}={least} or "
                f"training.cpus_per_worker={training.cpus_per_worker:g}{other}, or add nodes"
            )
    if sum(_fitting(node, worker) for node in nodes) >= least:
        return
    now = {name: sum(node.get(name, 0) for node in nodes) for name in worker}
    if all(most.get(name, 0) <= now[name] for name in worker):
        raise PoiseError(
            f"{least} workers of {_words(worker)} each do not fit on the nodes of "
            f"the cluster ({'; '.join(_words(node) for node in nodes)}); lower "
            f"{_key(recipe)} or training.cpus_per_worker, or add nodes"
        )
    yield "the autoscaler must start nodes first, which takes minutes"


def _key(recipe: Recipe) -> str:
    return f"training.{'min_workers' if is_elastic(recipe) else 'num_workers'}"


def _fitting(node: Mapping[str, float], worker: Mapping[str, float]) -> int:
    """Returns the number of workers whose resources fit on a node."""
    return int(min(node.get(name, 0) // each for name, each in worker.items() if each))


def _words(resources: Mapping[str, float]) -> str:
    return " and ".join(f"{resources.get(name, 0):g} {name}s" for name in ("CPU", "GPU"))
