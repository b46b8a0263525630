"""Describes the machine, the package versions and the process of a run.

In: this process. Out: dictionaries for tags and artifacts. Next: ``poise.tracking.run``.
"""

import os
import platform
import shlex
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

import poise
from poise.config.redaction import redacted
from poise.tracking.run_lock import Holder

_PACKAGES = (
    "poise", "torch", "torchvision", "timm", "ray", "optuna", "mlflow", "numpy", "scipy", "pillow",
    "pyarrow",
)  # fmt: skip


def describe_environment() -> dict[str, Any]:
    """Returns a dict for JSON: command, versions, processors and accelerators of this machine."""
    import torch  # takes seconds to load, and reading runs does not need it

    return {
        "command": redacted(shlex.join(sys.argv)),
        "folder": os.getcwd(),  # noqa: PTH109 - a string is wanted
        "host": socket.gethostname(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "cuda": torch.version.cuda,
        "gpus": [
            _gpu(torch.cuda.get_device_properties(index))
            for index in range(torch.cuda.device_count())
        ],
        "cpu": {
            "model": _cpu_model(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        },
    }


def git_tags() -> dict[str, str]:
    """Returns two tags: the git commit of the current folder, and whether files differ from it.

    Without git, or outside a repository, there are no tags.
    """
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {"mlflow.source.git.commit": commit, "poise.git_dirty": str(bool(changed)).lower()}


def controller_tags(folder: str | Path) -> dict[str, str]:
    """Makes tags for the process that controls a run, its locked folder, and the git commit.

    Args:
        folder: folder that the process has locked: the folder of the run or of its study.
    """
    return {**holder_tags(folder), **git_tags()}


def holder_tags(folder: str | Path) -> dict[str, str]:
    """Makes tags for this process, its version of Poise, and the folder that it has locked."""
    place = {"poise.version": poise.__version__, "poise.folder": str(Path(folder).absolute())}
    return place | Holder.here().as_tags()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _gpu(properties: Any) -> dict[str, Any]:
    return {
        "name": properties.name,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "capability": f"{properties.major}.{properties.minor}",
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()
