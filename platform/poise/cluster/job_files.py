"""Chooses the files and settings that a job takes to the cluster: code, but no data or results.

In: a `poise` command and the folder in which it runs. Out: the entrypoint and the runtime
environment of a Ray Job. Next: `poise.cluster.jobs`.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.config.errors import PoiseError

EXCLUDES = (
    ".git/",
    "/.venv*/",
    "/venv/",
    "/runs/",
    "/datasets/",
    "/data/",  # anchored: platform/poise/data is code
    "*.parquet",
    "*.safetensors",
    "*.pt",
    "*.ckpt",
    "*.tar",
    "*.db",
    "mlruns/",
    "__pycache__/",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".hypothesis/",
    ".env",  # passwords are not sent
    "*.pem",
)
"""Patterns in the form of .gitignore, in addition to the folder's .gitignore and .rayignore."""

CLEANUP_S = 60
"""Time in seconds that a stopped job has to write its checkpoint. Ray's default of 3 s is too
short.
"""


@dataclass(frozen=True)
class Job:
    """Command for the cluster, with its environment."""

    entrypoint: str
    runtime_env: dict[str, Any]


def package_command(command: Sequence[str], folder: Path) -> Job:
    """Makes ``poise <command>`` a job that runs in a copy of ``folder``. Drops a leading "poise".

    Raises:
        PoiseError: POISE_HOME is a path that would mean another folder on the cluster.
    """
    return Job(_entrypoint(command), _runtime_env(folder))


def _entrypoint(command: Sequence[str]) -> str:
    # The job's folder is deleted with the job. So runs go to the head's home folder if POISE_HOME
    # is set neither here nor in the cluster's environment.
    words = command[1:] if command[:1] == ["poise"] else command  # users paste it with "poise"
    # -P: a file in the job's folder such as `http.py` must not replace a module of Python.
    run = shlex.join(["python", "-P", "-m", "poise.cli.main", *words])
    return f'export POISE_HOME="${{POISE_HOME:-$HOME/poise-runs}}"; exec {run}'


def _runtime_env(folder: Path) -> dict[str, Any]:
    excludes = list(EXCLUDES)
    home = os.environ.get("POISE_HOME")
    if home and Path(home).is_relative_to(folder):
        excludes.append(f"/{Path(home).relative_to(folder)}/")
    return {
        "working_dir": str(folder),
        "excludes": excludes,
        "env_vars": _environment(folder),
        # Nothing is installed for a job, because Ray would clone the head's environment for it.
    }


def _environment(folder: Path) -> dict[str, str]:
    variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(CLEANUP_S), "PYTHONUNBUFFERED": "1"}
    if (folder / "platform" / "poise").is_dir():
        variables["PYTHONPATH"] = "platform"  # relative to the job's folder, on every node
    for name in ("POISE_HOME", "MLFLOW_TRACKING_URI"):
        if value := os.environ.get(name):
            variables[name] = value
    _check_paths(variables)
    return variables


def _check_paths(variables: dict[str, str]) -> None:
    home, store = variables.get("POISE_HOME", ""), variables.get("MLFLOW_TRACKING_URI", "")
    if home and not Path(home).is_absolute():
        raise PoiseError(
            f"POISE_HOME={home}: a job needs an absolute path in storage that all nodes share; a "
            "relative path would be deleted with the job"
        )
    if store and (store.startswith(("sqlite:", "file:")) or "://" not in store):
        print(
            f"warning: MLFLOW_TRACKING_URI={store} names a file. On the cluster it will be a file "
            "of the head node. To log elsewhere, give a tracking server (http://…)",
            file=sys.stderr,
        )
