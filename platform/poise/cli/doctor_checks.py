"""Checks this machine. Each check returns a fix for what is broken.

In: nothing. Out: one ``Finding`` per check. Next: `poise.cli.doctor`.
"""

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from poise.cli.console import State
from poise.config.errors import PoiseError, one_line
from poise.config.paths import home

GIB = 2**30
RAY_ANSWERS_WITHIN_S = 60
_LIBRARIES = ("torch", "torchvision", "timm", "ray", "mlflow", "pyarrow", "numpy")


@dataclass(frozen=True)
class Finding:
    """Result of one check of `poise doctor`."""

    name: str
    state: State
    found: str
    """Result as text with its unit, such as a version or a size."""

    fix: str | None = None
    """Action that removes the problem, or None if nothing is wrong."""


def check_libraries() -> Iterator[Finding]:
    """Imports each library. Only an import shows that two builds do not fit together."""
    for name in _LIBRARIES:
        try:
            importlib.import_module(name)
            yield Finding(name, "works", version(name))
        except PackageNotFoundError:
            yield Finding(name, "broken", "not installed", "run `make install`")
        except Exception as error:  # a broken binary can raise any error
            fix = (
                "its build does not match the other libraries'; remove .venv and run `make install`"
            )
            yield Finding(name, "broken", f"cannot be imported: {_one_line(error)}", fix)


def check_cpus() -> Finding:
    """Counts the CPUs that this process may use.

    It also checks whether the CPUs compute bf16 in hardware. If not, training uses fp32.
    """
    import torch

    from poise.training.precision import computes_bf16

    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    bf16 = "bf16 in hardware" if computes_bf16(torch.device("cpu")) else "no bf16: fp32 is used"
    return Finding("cpus", "works", f"{count} ({bf16})")


def check_gpus() -> Finding:
    """Lists the GPUs that PyTorch can use. A GPU driver that PyTorch cannot use is a fault."""
    import torch

    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        found = ", ".join(f"{gpu.name} {gpu.total_memory / GIB:.0f} GiB" for gpu in devices)
        return Finding("gpus", "works", found)
    if shutil.which("nvidia-smi"):
        fix = (
            f"the driver is there, but PyTorch {torch.__version__} cannot use it; update the driver"
        )
        return Finding("gpus", "broken", "none that PyTorch can use", fix)
    return Finding("gpus", "works", "none: training runs on the CPU")


def check_memory() -> Finding:
    """Checks the free memory. Ray uses 30 % of it for its object store, and 0.5 GiB for itself."""
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    if memory.available < 3 * GIB:
        return Finding("memory", "warning", found, "a study needs about 3 GiB; close something")
    return Finding("memory", "works", found)


def check_shared_memory(folder: Path = Path("/dev/shm")) -> Finding | None:
    """Checks the shared memory, which views and Ray's objects use.

    Returns None if there is no such folder.
    """
    if not folder.is_dir():
        return None
    total = shutil.disk_usage(folder).total
    found = f"{total / GIB:.1f} GiB at {folder}"
    if total < GIB:
        fix = "Ray falls back to slow files; start the container with --shm-size=8g"
        return Finding("shared memory", "warning", found, fix)
    return Finding("shared memory", "works", found)


def check_disk() -> Finding:
    """Checks the free disk space in the folder of runs."""
    folder = home()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    found = f"{shutil.disk_usage(existing).free / GIB:.1f} GiB free for runs in {folder}"
    if not os.access(existing, os.W_OK):
        return Finding("disk", "broken", f"{existing} cannot be written", "set POISE_HOME")
    if shutil.disk_usage(existing).free < 5 * GIB:
        fix = "checkpoints may not fit; free some space or set POISE_HOME to another disk"
        return Finding("disk", "warning", found, fix)
    return Finding("disk", "works", found)


def check_store() -> Finding:
    """Opens the MLflow store, or checks that the store can be created.

    Runs whose process died get the status KILLED.
    """
    from poise.config.redaction import redacted
    from poise.tracking.ending import reconcile
    from poise.tracking.store import open_store

    uri = os.environ.get("MLFLOW_TRACKING_URI")
    path = home() / "mlflow.db"
    if not uri and not path.exists():
        return Finding("mlflow store", "works", f"the first run will create {path}")
    try:
        store = open_store()
        dead = len(reconcile(store))
        closed = f"; {dead} interrupted run{'s' * (dead > 1)} marked as killed" if dead else ""
        return Finding("mlflow store", "works", f"{redacted(store.uri)}{closed}")
    except PoiseError as error:
        return Finding("mlflow store", "broken", "cannot be used", str(error))


def check_ray() -> Finding:
    """Runs one task on the cluster of RAY_ADDRESS, or else on a local cluster that it starts."""
    address = os.environ.get("RAY_ADDRESS", "")
    try:
        if address.startswith(("http://", "https://")):
            return _check_dashboard()
        return Finding("ray", "works", _run_task(address or "this machine"))
    except PoiseError as error:
        return Finding("ray", "broken", "cannot be reached", str(error))
    except Exception as error:  # a bug in the cluster is also a finding
        fix = "see the logs in /tmp/ray/session_latest/logs"
        return Finding("ray", "broken", f"cannot run a task: {_one_line(error)}", fix)


def _check_dashboard() -> Finding:
    from poise.cluster.address import find_cluster
    from poise.cluster.client import connect

    cluster = find_cluster(None)
    connect(cluster)
    return Finding("ray", "works", f"{cluster.url} takes jobs (`poise submit`)")


def _run_task(place: str) -> str:
    import ray

    from poise.cluster.connection import start_ray

    was_running = ray.is_initialized()
    start_ray()
    try:
        # The most frequent fault on a cluster is a worker that cannot import Poise.
        task = ray.remote(num_cpus=0)(_version_on_worker)
        seen = ray.get(task.remote(), timeout=RAY_ANSWERS_WITHIN_S)
        total, room = ray.cluster_resources(), _room_in_words()
    finally:
        if not was_running:
            ray.shutdown()
    cpus, gpus = total.get("CPU", 0), total.get("GPU", 0)
    return f"runs tasks on {place} ({cpus:g} CPUs, {gpus:g} GPUs, Poise {seen}); {room}"


def _room_in_words() -> str:
    """Writes how many workers an elastic run could start with on this cluster."""
    from poise.cluster.nodes import live_nodes
    from poise.cluster.resources import resources_now

    name = "GPU" if resources_now().get("GPU", 0) else "CPU"
    room = sum(int(node.resources.get(name, 0)) for node in live_nodes())
    return f"an elastic run (--workers 1-{room}) has room for {room} workers of one {name}"


def _version_on_worker() -> str:
    import poise

    return poise.__version__


def _one_line(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}", 200)


_CHECKS: tuple[Callable[[], Finding | None], ...] = (
    check_cpus,
    check_gpus,
    check_memory,
    check_shared_memory,
    check_disk,
    check_store,
    check_ray,
)


def examine() -> Iterator[Finding]:
    """Yields every finding, the fast checks first.

    If a library is broken, other checks are skipped.
    """
    yield Finding("python", "works", sys.version.split()[0])
    libraries = list(check_libraries())
    yield from libraries
    if any(library.state == "broken" for library in libraries):
        return
    for check in _CHECKS:
        if finding := check():
            yield finding
