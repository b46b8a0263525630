"""Counts the CPUs and GPUs that a cluster has, and those that its autoscaler may add.

In: the cluster that this process is connected to. Out: numbers by the name of the resource, and the
nodes whose resources will be taken back. Next:
``poise.training.capacity`` and the checks before a job is sent.
"""

import ray


def resources_now() -> dict[str, float]:
    """Returns the resources of all running nodes: ``{"CPU": 8.0, "GPU": 2.0, …}``."""
    return dict(ray.cluster_resources())


def most_resources() -> dict[str, float]:
    """Returns the largest amounts of all resources that the cluster can have.

    Without an autoscaler, these are the present amounts. Ray has no public function for this, so
    this function reads Ray's internal state, as Ray Train and Ray Data do. If a later version of
    Ray lacks this state, the result is the present amounts.
    """
    now = resources_now()
    try:
        from ray._private.state import state

        later = state.get_max_resources_from_cluster_config() or {}
    except (ImportError, AttributeError):
        later = {}
    return {name: max(now.get(name, 0), later.get(name, 0)) for name in now | later}


def draining_nodes() -> set[str]:
    """Returns the ids of the nodes that will be taken back soon.

    Ray has no public function for these nodes, so this function reads Ray's internal state, as Ray
    Train does. If a later version of Ray lacks this state, the result is empty.
    """
    try:
        from ray._private.state import state

        return set(state.get_draining_nodes())
    except (ImportError, AttributeError):
        return set()
