"""A sweep on a cluster of one node whose autoscaler adds nodes: processes of this machine.

In: a folder. Out: a row of the table. Next: ``tests.faults.run_faults``.

Ray's own ``AutoscalingCluster`` stops every Ray of the machine first (``ray stop --force``), and
needs a file that Ray's package lacks. So the head node is started here.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray
import yaml

from poise.cluster.connection import free_port
from poise.config.files import read_json
from tests.faults.campaign import Row
from tests.faults.checks import statuses
from tests.faults.cluster_arena import ENVIRONMENT, make_inputs
from tests.waiting import wait_until

_LISTS = (
    "cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands",
    "setup_commands", "head_setup_commands", "worker_setup_commands", "head_start_ray_commands",
    "worker_start_ray_commands",
)  # fmt: skip
_SPACE = {
    "name": "two",
    "recipe": "recipe.yaml",
    "parameters": {"optimizer.base_lr": {"grid_search": [0.01, 0.02]}},
    "metric": "features/rankme",
    "concurrency": 2,
}


def _configuration(gcs: str) -> dict[str, Any]:
    """A head node with one CPU, and at most two more nodes with one CPU each."""
    kinds = {
        "ray.head.default": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        "one-cpu": {
            "resources": {"CPU": 1, "object_store_memory": 100_000_000},
            "node_config": {},
            "min_workers": 0,
            "max_workers": 2,
        },
    }
    provider = {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
        "gcs_address": gcs,
    }
    return {
        "cluster_name": "faults",
        "max_workers": 2,
        "provider": provider,
        "available_node_types": kinds,
        "head_node_type": "ray.head.default",
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 0.2,
        "auth": {"ssh_user": "nobody"},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in _LISTS},
    }


@dataclass(frozen=True)
class Autoscaled:
    """A cluster whose autoscaler adds and removes nodes."""

    address: str

    def nodes(self) -> int:
        """Number of nodes that are up."""
        return sum(node["Alive"] for node in ray.nodes())


@contextmanager
def autoscaled_cluster(folder: Path) -> Iterator[Autoscaled]:
    """Starts a head node with an autoscaler."""
    address = f"127.0.0.1:{free_port()}"
    file = folder / "autoscaler.yaml"
    file.write_text(yaml.safe_dump(_configuration(address)), encoding="utf-8")
    program, port = str(Path(sys.executable).parent / "ray"), address.rpartition(":")[2]
    command = [program, "start", "--head", "--block", "--num-cpus=1", "--node-ip-address=127.0.0.1"]
    command += [f"--port={port}", f"--ray-client-server-port={free_port()}"]
    command += ["--include-dashboard=false", "--object-store-memory=100000000"]
    command += [f"--dashboard-agent-listen-port={free_port()}", f"--autoscaling-config={file}"]
    # Ray puts sockets into its folder, whose paths may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="poise-", dir="/tmp") as sockets:
        known = {
            "RAY_FAKE_CLUSTER": "1",
            "RAY_AUTH_MODE": "disabled",  # as on the cluster of the other faults
            "RAY_enable_autoscaler_v2": "0",  # the newer one needs the missing file too
            "RAY_TMPDIR": sockets,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        }
        with (folder / "head.log").open("w") as log:
            process = subprocess.Popen(
                command,
                env=os.environ | ENVIRONMENT | known,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(lambda: process.poll() is not None or _joins(address), pause_s=1)
            assert process.poll() is None, (folder / "head.log").read_text(encoding="utf-8")
            yield Autoscaled(address)
        finally:
            ray.shutdown()
            _kill_all(process.pid)
            process.wait()


def _kill_all(pid: int) -> None:
    """Kills the head node and the nodes that its autoscaler started."""
    with suppress(psutil.NoSuchProcess):
        head = psutil.Process(pid)
        for each in [*head.children(recursive=True), head]:
            with suppress(psutil.NoSuchProcess):
                each.kill()


def _joins(address: str) -> bool:
    """Connects this process to the cluster, which is how it sees nodes come and go."""
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception:  # Ray raises many kinds until its server listens
        ray.shutdown()
        return False
    return True


def sweep_gets_nodes(folder: Path, migrated_file: Path | None = None) -> Row:
    """Lets a sweep ask for more nodes than there are, and waits until they are given back.

    Raises:
        AssertionError: no node came, or a trial is lost.
    """
    make_inputs(folder, migrated_file)
    (folder / "space.yaml").write_text(yaml.safe_dump(_SPACE), encoding="utf-8")
    with autoscaled_cluster(folder) as cluster:
        known = {"POISE_HOME": str(folder / "home"), "RAY_ADDRESS": cluster.address}
        command = [sys.executable, "-W", "ignore", "-m", "poise.cli.main", "sweep", "space.yaml"]
        log, most = folder / "sweep.log", 1
        with log.open("w") as file:
            process = subprocess.Popen(
                [*command, "--name", "two"],
                env=os.environ | ENVIRONMENT | known,
                cwd=folder,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while process.poll() is None:
            most = max(most, cluster.nodes())
            time.sleep(0.5)
        assert process.returncode == 0, log.read_text(encoding="utf-8")
        assert most > 1, "no node came"  # the autoscaler may also add two at once
        trials = (folder / "home" / "two").glob("t*/trial.json")
        assert [read_json(trial)["state"] for trial in trials] == ["finished"] * 2
        assert set(statuses(folder / "home" / "mlflow.db").values()) == {"FINISHED"}
        wait_until(lambda: cluster.nodes() == 1, pause_s=1)
    return Row("sweep needs more nodes", 0, f"got {most - 1}, and gave them back")
