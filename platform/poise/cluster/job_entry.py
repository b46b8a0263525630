"""Makes a job of a Poise command: what runs on the cluster, with which files and settings.

In: a `poise` command and the folder in which the user typed it. Out: a ``Job``. Next:
``poise.cluster.jobs``.
"""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poise.cluster.job_files import ProjectFiles
from poise.cluster.secret_patterns import secret_in, user_of_database_in
from poise.config import leaving
from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.redaction import redacted_address

CLEANUP_S = 60
"""Time in seconds that a stopped job has to write its checkpoint. Ray's default of 3 s is too short
for that.
"""

_RESERVE_S = 5
"""Seconds of ``CLEANUP_S`` that remain to mark the run as killed."""

COMMAND = "poise.cli.main"
"""Module that runs a `poise` command."""

_SCRIPT = ".poise/job.sh"


@dataclass(frozen=True)
class Job:
    """Command that runs on the cluster, with its files and settings."""

    entrypoint: str
    runtime_env: dict[str, Any]
    """Ray's runtime environment of the job. The job installs no packages, because Ray would first
    copy the environment of the head node.
    """

    metadata: dict[str, str] = field(default_factory=dict)

    def with_words(self, words: Sequence[str]) -> "Job":
        """Returns a job that runs a different Poise command with this job's files and settings."""
        return replace(self, entrypoint=entrypoint(COMMAND, words))

    def running(self, module: str, words: Sequence[str]) -> "Job":
        """Returns a job that runs a different module with this job's files and settings."""
        return replace(self, entrypoint=entrypoint(module, words), metadata={})


@contextmanager
def packaged(words: Sequence[str], files: ProjectFiles, metadata: dict[str, str]) -> Iterator[Job]:
    """Yields a job that runs ``poise <words>`` in a copy of the files.

    The copy exists only during the block.

    Raises:
        PoiseError: a setting or a word seems to contain a secret, or the path in POISE_HOME or
            POISE_STORAGE would mean another folder on the cluster.
    """
    for word in words:
        check_no_secret(word, "the command")
    with TemporaryDirectory(prefix="poise-job-") as scratch:
        archive = Path(scratch) / "project.zip"
        script = Path(__file__).with_name("job.sh").read_text(encoding="utf-8")
        files.write_archive(archive, {_SCRIPT: script})
        settings = {"working_dir": str(archive), "env_vars": environment(files)}
        yield Job(entrypoint(COMMAND, words), settings, metadata)


def entrypoint(module: str, words: Sequence[str]) -> str:
    """Returns the shell command that runs a module with the Python of Ray's workers."""
    return f"exec {shlex.join(['sh', _SCRIPT, module, *words])}"


def environment(files: ProjectFiles) -> dict[str, str]:
    """Returns the environment variables of a job and of its workers.

    Everyone on the cluster can read these variables.

    Raises:
        PoiseError: a variable contains a password or a token, or the path in POISE_HOME or
            POISE_STORAGE would mean another folder on the cluster.
    """
    variables = {
        "RAY_JOB_STOP_WAIT_TIME_S": str(CLEANUP_S),
        leaving.VARIABLE: str(CLEANUP_S - _RESERVE_S),
        "PYTHONUNBUFFERED": "1",
    }
    if any(name.parts[:2] == ("platform", "poise") for name in files.chosen):
        variables["PYTHONPATH"] = "platform"  # relative to the job's folder, on every node
    for name in ("POISE_HOME", "POISE_STORAGE", "MLFLOW_TRACKING_URI"):
        if value := os.environ.get(name, "").strip():
            check_no_secret(value, name)
            if name == "MLFLOW_TRACKING_URI" and redacted_address(value) != value:
                raise _readable("a user or a token in an address", name)
            variables[name] = value
    _check_paths(variables)
    return variables


def check_no_secret(text: str, source: str) -> None:
    """Raises an error if a text contains a secret.

    The text becomes part of the job's description, which every user of the dashboard can read.
    """
    kind = secret_in(text)
    if kind is None and user_of_database_in(text):
        kind = "a user or a token in an address"
    if kind is not None:
        raise _readable(kind, source)


def _readable(kind: str, source: str) -> PoiseError:
    return PoiseError(
        f"{source}: contains {kind}, which everyone who can open the dashboard would read in the "
        "job's description; set it on the nodes, before `ray start` (for MLflow: "
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD), and leave it out here"
    )


def _check_paths(variables: dict[str, str]) -> None:
    names = ("POISE_HOME", "POISE_STORAGE", "MLFLOW_TRACKING_URI")
    home, storage, store = (variables.get(name, "") for name in names)
    if home and not Path(home).is_absolute():
        raise PoiseError(
            f"POISE_HOME={home}: a job needs an absolute path in storage that all nodes share; a "
            "relative path would be deleted with the job, and only POISE_STORAGE takes a URI"
        )
    if storage and (place := Location.of(storage)).is_local and not place.local.is_absolute():
        raise PoiseError(
            f"POISE_STORAGE={storage}: a job needs a URI such as s3://BUCKET/FOLDER, or an "
            "absolute path that all nodes share; a relative path would be deleted with the job"
        )
    if store and (store.startswith(("sqlite:", "file:")) or "://" not in store):
        print(
            f"warning: MLFLOW_TRACKING_URI={store} names a file. On the cluster it will be a file "
            "of the head node. To log elsewhere, give a tracking server (http://…)",
            file=sys.stderr,
        )
