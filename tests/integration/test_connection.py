"""Starting Ray where others have started one as well."""

import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

LOOK = """
import os, ray
from poise.cluster.connection import start_ray

start_ray(ends_runs=True)

@ray.remote(num_cpus=0)
class Cleaner:  # as Ray Train's, which frees the CPUs of runs that were ended from outside
    def look(self):
        from ray.util.state import get_actor
        return get_actor(ray.get_runtime_context().get_actor_id(), timeout=900).state

print(ray.get(Cleaner.remote().look.remote()), "RAY_API_SERVER_ADDRESS" in os.environ)
"""


def test_a_clusters_processes_find_their_own_dashboard_beside_another_cluster(
    ray_cluster: None,
) -> None:
    # Where they found two they gave up: after the first early end a sweep waited for ever.
    found = subprocess.run(
        [sys.executable, "-c", LOOK],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.split() == ["ALIVE", "False"], found.stderr[-2000:]
