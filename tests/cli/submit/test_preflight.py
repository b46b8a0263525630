"""What was seen of a cluster is judged before a job is sent."""

import platform
from dataclasses import asdict, replace
from typing import Any

import pytest
import ray

from poise import __version__
from poise.cli.submit.cluster_facts import ClusterView, NodeView, view_from
from poise.cli.submit.preflight import check_room, judge
from poise.config.errors import PoiseError
from tests.builders import tiny_recipe

NODE = NodeView(platform.python_version(), ray.__version__, __version__, "/env/bin/python")
VIEW = ClusterView("/shared/runs", has_tracking_server=True, nodes={"head": NODE, "worker": NODE})


def _with(worker: NodeView) -> ClusterView:
    return replace(VIEW, nodes={"head": NODE, "worker": worker})


def test_a_cluster_that_fits_gives_no_note() -> None:
    assert list(judge(VIEW, None)) == []


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (_with(replace(NODE, ray="1.13.0")), "worker has Ray 1.13.0, and this machine has"),
        (
            _with(replace(NODE, unseen=["/scratch/checkpoints"])),
            r"/scratch/checkpoints: is not shared: .* not seen by worker; set .*POISE_STORAGE",
        ),
        (
            _with(replace(NODE, dataset_faults={"s3://b/d": "access denied"})),
            r"the dataset s3://b/d: cannot be read on worker \(access denied\); use storage that",
        ),
        (_with(replace(NODE, tracking_fault="it is silent")), "on worker: it is silent"),
        (
            _with(replace(NODE, storage_fault="access denied")),
            r"POISE_STORAGE: worker cannot write there \(access denied\)",
        ),
        (replace(VIEW, home_fault="read-only"), r"cannot be used on the head node \(read-only\)"),
    ],
)
def test_what_would_fail_is_refused_with_the_node(view: ClusterView, expected: str) -> None:
    with pytest.raises(PoiseError, match=expected):
        list(judge(view, None))


def _facts(**changes: Any) -> dict[str, Any]:
    """Facts as they arrive from a cluster, with some of the worker's replaced."""
    seen = asdict(VIEW)
    seen["nodes"]["worker"] |= changes
    return seen


def test_another_poise_on_a_node_is_named_before_its_facts_are_read() -> None:
    # The older version had a fact of another name, and its answer ended with a traceback.
    assert view_from(_facts()) == VIEW
    with pytest.raises(PoiseError, match=r"^worker has Poise 0\.0\.1, and this machine has"):
        view_from(_facts(poise="0.0.1", sees_home=True))
    with pytest.raises(PoiseError, match=r"^worker has another build of Poise .*: install"):
        view_from(_facts(sees_home=True))
    with pytest.raises(PoiseError, match=r"^the head node has another build of Poise"):
        view_from(_facts() | {"sees_home": True})


def test_another_python_and_a_shared_database_file_are_noted() -> None:
    (note,) = judge(_with(replace(NODE, python="3.1.4")), None)
    assert "3.1.4" in note
    (note,) = judge(replace(VIEW, has_tracking_server=False), None)
    assert "SQLite" in note


CPU_NODE, GPU_NODE = {"CPU": 4.0}, {"CPU": 8.0, "GPU": 1.0}


def _room(
    nodes: list[dict[str, float]], most: dict[str, float] | None = None, **settings: Any
) -> list[str]:
    now = {name: sum(node.get(name, 0.0) for node in nodes) for name in ("CPU", "GPU")}
    recipe = tiny_recipe(**{f"training__{name}": value for name, value in settings.items()})
    return list(check_room(nodes, now | (most or {}), recipe))


def test_workers_that_fit_are_sent() -> None:
    assert _room([CPU_NODE], num_workers=4, cpus_per_worker=1) == []
    assert _room([CPU_NODE, GPU_NODE, GPU_NODE], num_workers=2, device="cuda") == []


def test_without_enough_gpus_the_cpus_are_used_if_the_recipe_allows_it() -> None:
    (note,) = _room([CPU_NODE, GPU_NODE], num_workers=2, device="any")
    assert "trains on CPUs" in note


def test_what_the_autoscaler_may_bring_counts() -> None:
    (note,) = _room([{"CPU": 0.0}], {"CPU": 64.0, "GPU": 8.0}, num_workers=8, device="cuda")
    assert "autoscaler must start nodes" in note


@pytest.mark.parametrize(
    ("nodes", "settings", "expected"),
    [
        ([CPU_NODE], {"num_workers": 8, "cpus_per_worker": 1}, r"needs 8 CPUs .* has 4"),
        ([GPU_NODE], {"num_workers": 2, "device": "cuda"}, r"needs 2 GPUs .*training.device=any"),
        (
            [CPU_NODE, CPU_NODE],
            {"num_workers": 1, "cpus_per_worker": 6},
            r"1 workers of 6 CPUs and 0 GPUs each do not fit .*4 CPUs and 0 GPUs; 4 CPUs",
        ),
    ],
)
def test_a_job_that_would_wait_for_ever_is_refused(
    nodes: list[dict[str, float]], settings: dict[str, Any], expected: str
) -> None:
    with pytest.raises(PoiseError, match=expected):
        _room(nodes, **settings)
