"""Paths that every node of a cluster must have, seen from real nodes: processes of this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.builders import encode, smooth_image, write_dataset
from tests.integration.head_node import REPOSITORY

pytestmark = [pytest.mark.ray, pytest.mark.slow]

NICE = {
    "RAY_worker_niceness": "0",
    "RAY_raylet_start_wait_time_s": "300",
}  # with Ray's 15, workers of a busy machine get no CPU

LOOK = """
import json, os, sys
import ray
from ray.cluster_utils import Cluster

from poise.cluster.nodes import live_nodes, on_every_node
from poise.cluster.resources import most_resources, resources_now
from poise.config.errors import PoiseError
from poise.data.stream import stream
from poise.runs.node_checks import check_nodes, lacking
from tests.builders import tiny_recipe

cuts = stream._views_rows

def seen_from_here(paths):
    hidden = os.environ.get("HIDDEN_FROM_THIS_NODE")
    return [path for path in lacking(paths) + [hidden] if path in paths]

def complaint(paths):
    try:
        check_nodes(paths, "run", seen_from_here)
    except PoiseError as error:
        return str(error)

def pid():
    return os.getpid()

def cut_and_note(rows, recipe_json):
    with open(os.environ["CUT_ON"], "a") as file:
        file.write(ray.get_runtime_context().get_node_id() + chr(10))
    yield from cuts(rows, recipe_json)

def nodes_that_cut(dataset):
    recipe = tiny_recipe(data__dataset=dataset, data__placement="cpu_nodes", training__epochs=4)
    stream._views_rows = cut_and_note
    steps = len(list(stream.view_stream(recipe, 0, 1)))
    with open(os.environ["CUT_ON"]) as file:
        return steps, sorted(set(file.read().split()))

shared, local, home = sys.argv[1:]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
found = {"alone": complaint([local, shared + "/nowhere"])}
cluster.add_node(num_cpus=2, num_gpus=1, env_vars={"HIDDEN_FROM_THIS_NODE": local})
cluster.wait_for_nodes()
found["nodes"] = [node.name for node in live_nodes()]
found["shared"] = complaint([shared, "s3://bucket/data"])
found["local"] = complaint([shared, local])
found["nowhere"] = complaint([shared + "/nowhere"])
found["pids"] = len(set(on_every_node(pid).values()))
found["cpus"] = [resources_now()["CPU"], most_resources()["CPU"]]
found["steps"], cut_on = nodes_that_cut(shared)
found["cut_on"] = [node.name for node in live_nodes() if node.id in cut_on]
print(json.dumps(found))
ray.shutdown()
cluster.shutdown()
"""


def test_a_local_dataset_is_refused_before_work_starts_and_the_nodes_that_lack_it_are_named(
    tmp_path: Path,
) -> None:
    places = [tmp_path / name for name in ("shared", "local", "home")]
    for place in places:
        place.mkdir()
    write_dataset(places[0], [encode(smooth_image(i, 24, 20)) for i in range(32)])
    variables = {
        "POISE_HOME": str(places[2]),
        "OMP_NUM_THREADS": "1",
        "CUT_ON": str(tmp_path / "cut_on"),
        "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY / "platform", REPOSITORY))),
    }
    result = subprocess.run(
        [sys.executable, "-c", LOOK, *map(str, places)],
        env=os.environ | variables | NICE,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout.splitlines()[-1])
    head, worker = found["nodes"]
    assert found["alone"] is None, "on one node the run itself finds what is missing"
    assert found["shared"] is None
    assert found["local"].startswith(f"the dataset {places[1]}: does not exist on {worker} (1 of")
    assert f"such as /shared/{places[1].name}" in found["local"]
    assert "(2 of the cluster's 2 nodes)" in found["nowhere"]
    assert found["pids"] == 2, "a worker process of each node answered"
    assert found["cpus"] == [3.0, 3.0]
    # data.placement=cpu_nodes: the other node has a GPU
    assert (found["steps"], found["cut_on"]) == (16, [head])
