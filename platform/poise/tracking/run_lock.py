"""Locks a run's folder for one process, and finds out whether that process is alive.

In: the folder of a run, a study or a probe. Out: a lock, so that only one process at a time writes
to the folder. Next: ``poise.runs`` and ``poise.sweeps`` lock folders, and ``reconcile`` ends runs
whose process is dead.

``holder.json`` in the folder describes the process. A thread renews the modification time of this
file as a heartbeat, until the process ends. A process on the same host, boot and process namespace
is found by its id. Any other process, in a container or on another host, counts as dead after
``SILENT_S`` without a heartbeat.
"""

import logging
import os
import shlex
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import psutil

from poise.config.errors import PoiseError
from poise.config.files import locked, read_json, write_json

HOLDER_FILE = "holder.json"
BEAT_S = 15.0
SILENT_S = 150.0
"""Time in seconds without a heartbeat after which a process of another host or container counts as
dead. Network file systems may show a change of a file up to a minute late.
"""

_CLOCK_TOLERANCE_S = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """Process that has locked a folder. Its fields distinguish it from every other process."""

    host: str
    pid: int
    started_s: float
    """Seconds from the host's boot to the start of the process. Changes of the clock have no
    effect.
    """

    boot_id: str = ""
    """Random id of the host's boot. It is empty if the system has no such id."""

    pid_namespace: str = ""
    """Namespace of ``pid``. Each container on a host has its own namespace of process ids."""

    @classmethod
    def here(cls) -> "Holder":
        """Describes this process."""
        process = psutil.Process()
        return cls(
            socket.gethostname(), process.pid, _started_s(process), _boot_id(), _pid_namespace()
        )

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Holder | None":
        """Reads the process from a run's tags. Returns None if Poise did not make the run."""
        try:
            return cls(
                tags["poise.host"],
                int(tags["poise.pid"]),
                float(tags["poise.process_started_s"]),
                tags.get("poise.boot_id", ""),
                tags.get("poise.pid_namespace", ""),
            )
        except (KeyError, ValueError):
            return None

    def as_tags(self) -> dict[str, str]:
        """Returns the process as tags of an MLflow run, for ``from_tags``."""
        return {
            "poise.host": self.host,
            "poise.pid": str(self.pid),
            "poise.process_started_s": f"{self.started_s:.2f}",
            "poise.boot_id": self.boot_id,
            "poise.pid_namespace": self.pid_namespace,
        }

    @property
    def is_visible(self) -> bool:
        """Whether the process can be found from here: same host, boot and namespace."""
        return (
            self.host == socket.gethostname()
            and self.boot_id in ("", _boot_id())
            and self.pid_namespace in ("", _pid_namespace())
        )

    @property
    def is_running(self) -> bool:
        """Whether a visible process still runs. A new process with the same id does not count."""
        try:
            process = psutil.Process(self.pid)
            same = abs(_started_s(process) - self.started_s) < _CLOCK_TOLERANCE_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    @property
    def is_this_process(self) -> bool:
        """Whether the holder is this process."""
        return self.is_visible and self.pid == os.getpid() and self.is_running

    @property
    def is_another_running(self) -> bool:
        """Whether the holder is another living process of this machine."""
        return self.is_visible and self.pid != os.getpid() and self.is_running

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Locks a folder during the block, so that no other process writes there.

    Args:
        folder: existing folder of a run, a study or a probe.

    Raises:
        PoiseError: another process has locked the folder and may still be alive.
    """
    mine = Holder.here()
    with locked(folder / f".{HOLDER_FILE}.lock"):
        _check_free(folder)
        write_json(folder / HOLDER_FILE, asdict(mine))
    over = threading.Event()
    beat = threading.Thread(target=_beat, args=(folder, mine, over), daemon=True)
    beat.start()
    try:
        yield
    finally:
        over.set()
        beat.join()
        if read_holder(folder) == mine:
            (folder / HOLDER_FILE).unlink(missing_ok=True)


def _check_free(folder: Path) -> None:
    other = read_holder(folder)
    if other is None or other.is_this_process:
        return
    if other.is_visible:
        if other.is_running:
            raise PoiseError(
                f"{folder}: {other} is at work on it; wait until it ends, or stop it with "
                f"`kill -INT {other.pid}`"
            )
        return
    silent_s = silence_s(folder)
    if silent_s < SILENT_S:
        raise PoiseError(
            f"{folder}: {other} was at work on it {silent_s:.0f} s ago, and this machine cannot "
            f"look it up; stop it there, or wait until it has been silent for {SILENT_S:.0f} s; if "
            f"you know that it has ended, `rm {shlex.quote(str(folder / HOLDER_FILE))}` and try "
            "again"
        )
    logger.info("%s: %s is taken to be gone: silent for %.0f s", folder, other, silent_s)


def read_holder(folder: Path) -> Holder | None:
    """Returns the process in a folder's ``holder.json``, or None without this file.

    The process may be dead.
    """
    try:
        return Holder(**read_json(folder / HOLDER_FILE))
    except (PoiseError, TypeError):
        return None


def is_held(folder: Path) -> bool:
    """Returns True if a living process has locked a folder.

    A process that cannot be found from here counts as alive until its heartbeat is too old.
    """
    holder = read_holder(folder)
    if holder is None:
        return False
    return holder.is_running if holder.is_visible else silence_s(folder) < SILENT_S


def silence_s(folder: Path) -> float:
    """Returns the seconds since the last heartbeat, by the clock of the folder's file system."""
    try:
        return max(0.0, _now_s(folder) - (folder / HOLDER_FILE).stat().st_mtime)
    except FileNotFoundError:
        return float("inf")


def _now_s(folder: Path) -> float:
    probe = folder / f".now.{uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:  # the folder is not writable, so this host's clock is used
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink()


def _beat(folder: Path, mine: Holder, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        if read_holder(folder) != mine:
            logger.warning("%s: another process took it over; stop this one", folder)
            return
        with suppress(OSError):  # the next heartbeat may succeed
            os.utime(folder / HOLDER_FILE)


def _started_s(process: psutil.Process) -> float:
    return round(process.create_time() - psutil.boot_time(), 2)


def _boot_id() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _pid_namespace() -> str:
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""
