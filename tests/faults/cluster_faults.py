"""Faults that hit the processes of a run on Ray: workers, the command, servers and nodes.

In: an arena and the moment of the fault. Out: a row of the table. Next:
``tests.faults.run_faults``.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from poise.training.run_mailbox import STACKS_FILE
from tests.faults.attempt import LEFT, REFUSED
from tests.faults.campaign import RESUMED, WENT_ON, Row
from tests.faults.checks import statuses
from tests.faults.cluster_arena import NODE, SAVED_EVERY, STEPS, ClusterArena, Command
from tests.faults.mlflow_server import serving

_HANGS_SOON = ("training.hang_timeout_minutes=0.5", "training.storage_patience_minutes=0.1")

_RAY_HEARS_WITHIN_S = 12
"""Time in seconds after which Ray Train knows of a node that is drained, and Poise asks for it."""


@dataclass(frozen=True)
class Moment:
    """When a fault hits, and which worker."""

    name: str
    """Name of the run that it hits."""

    step: int
    after_s: float = 0.0
    """Time in seconds after the step."""

    rank: int = 0

    def wait(self, command: Command) -> None:
        """Returns at the moment."""
        command.wait_for(self.step)
        time.sleep(self.after_s)

    @classmethod
    def drawn(cls, name: str, draws: random.Random) -> "Moment":
        """Draws a moment between the second step and the one before the last checkpoint."""
        step = draws.randrange(2, STEPS - SAVED_EVERY)
        return cls(name, step, draws.uniform(0, 0.15), draws.randrange(2))


def worker_is_killed(arena: ClusterArena, moment: Moment) -> Row:
    """Kills one of two workers. Ray Train starts both again."""
    command = arena.pretrain(moment.name, workers=2)
    moment.wait(command)
    os.kill(command.trace.process(moment.rank), signal.SIGKILL)
    arena.check(command, workers=2)
    return _row("worker of two is killed", command, WENT_ON)


def command_is_killed(arena: ClusterArena, moment: Moment) -> Row:
    """Kills the command of a run. Another command resumes it at once."""
    command = arena.pretrain(moment.name)
    moment.wait(command)
    command.process.kill()
    assert command.ended() == -signal.SIGKILL
    again = arena.resume(moment.name)
    arena.check(again)
    return _row("command is killed", command, RESUMED)


def server_is_killed(arena: ClusterArena, moment: Moment) -> Row:
    """Kills the MLflow server, and brings it back before the run's end."""
    with serving(arena.database) as server:
        arena.variables["MLFLOW_TRACKING_URI"] = server.url
        command = arena.pretrain(moment.name, held_at=moment.step + 3)
        del arena.variables["MLFLOW_TRACKING_URI"]
        moment.wait(command)
        server.kill()
        command.wait_for(moment.step + 3)
        server.start()
        command.go_on()
        arena.check(command)
    return _row("MLflow server is killed for a while", command, WENT_ON, most=0)


def worker_has_notice(arena: ClusterArena, moment: Moment) -> Row:
    """Sends SIGTERM to one of two workers: both leave, and the command starts them again."""
    command = arena.pretrain(moment.name, workers=2)
    moment.wait(command)
    os.kill(command.trace.process(moment.rank), signal.SIGTERM)
    arena.check(command, workers=2)
    assert "SIGTERM to process" in command.text, command.text
    return _row("SIGTERM to a worker of two", command, WENT_ON, most=0)


def command_has_notice(arena: ClusterArena, moment: Moment) -> Row:
    """Sends SIGTERM to the command, which leaves with a checkpoint."""
    command = arena.pretrain(moment.name)
    moment.wait(command)
    command.process.terminate()
    assert command.ended() == LEFT, command.text
    assert statuses(arena.database)[moment.name] == "KILLED"
    arena.check(arena.resume(moment.name))
    return _row("SIGTERM to the command", command, RESUMED, most=0)


def batch_never_comes(arena: ClusterArena, moment: Moment) -> Row:
    """Lets one of two workers wait for a batch forever. The run ends, and says where."""
    command = arena.pretrain(moment.name, *_HANGS_SOON, workers=2, hangs_at=moment.step)
    return _hung(arena, command, "worker rank 1 of 2 (process", "hang of a worker's batch")


def worker_is_stopped(arena: ClusterArena, moment: Moment) -> Row:
    """Stops the process of one of two workers. The run ends, and names the worker."""
    command = arena.pretrain(moment.name, *_HANGS_SOON, workers=2)
    moment.wait(command)
    stopped = command.trace.process(moment.rank)
    os.kill(stopped, signal.SIGSTOP)
    expected = f"worker rank {moment.rank} of 2 does not answer"
    row = _hung(arena, command, expected, "process of a worker is stopped")
    assert not Path(f"/proc/{stopped}").exists(), "the stopped process is left"
    return row


def _hung(arena: ClusterArena, command: Command, expected: str, kind: str) -> Row:
    assert command.ended() == REFUSED, command.text
    assert expected in command.text, command.text
    assert "worker rank" in (arena.home / command.name / STACKS_FILE).read_text(encoding="utf-8")
    assert statuses(arena.database)[command.name] == "FAILED"
    arena.check(arena.resume(command.name), workers=2)
    return _row(kind, command, RESUMED)


def node_is_killed(arena: ClusterArena, moment: Moment) -> Row:
    """Kills one of two nodes. The run goes on with one worker."""
    command = arena.pretrain(moment.name, "training.min_workers=1", workers=2)
    moment.wait(command)
    arena.cluster.remove_node(arena.second, allow_graceful=False)
    command.ended()
    arena.second = arena.cluster.add_node(**NODE)
    arena.check(command, workers=2)
    assert "continues with 1 of 2 workers" in command.text, command.text
    return _row("node is killed", command, WENT_ON)


def node_is_drained(arena: ClusterArena, moment: Moment) -> Row:
    """Takes one of two nodes back with notice. The run goes on with one worker."""
    command = arena.pretrain(moment.name, "training.min_workers=1", workers=2, held_at=moment.step)
    moment.wait(command)
    _drain(arena)
    time.sleep(_RAY_HEARS_WITHIN_S)
    command.go_on()
    command.ended()
    arena.cluster.remove_node(arena.second, allow_graceful=False)
    arena.second = arena.cluster.add_node(**NODE)
    arena.check(command, workers=2)
    assert "continues with 1 of 2 workers" in command.text, command.text
    return _row("node is drained", command, WENT_ON, most=0)


def _drain(arena: ClusterArena) -> None:
    """Tells Ray that the second node will be taken back in two minutes."""
    ray = str(Path(sys.executable).parent / "ray")
    words = ["--address", arena.cluster.address, "--node-id", arena.second.node_id]
    words += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "taken back"]
    words += ["--deadline-remaining-seconds", "120"]
    subprocess.run([ray, "drain-node", *words], check=True, capture_output=True)


Hit = Callable[[ClusterArena, Moment], Row]
"""Lets a fault of one kind hit a run, finishes the run and checks it."""

COUNTS: dict[Hit, int] = {
    worker_is_killed: 4,
    command_is_killed: 4,
    server_is_killed: 2,
    worker_has_notice: 2,
    command_has_notice: 2,
    batch_never_comes: 1,
    worker_is_stopped: 1,
    node_is_killed: 1,
    node_is_drained: 1,
}
"""Number of faults of each kind in `make faults`."""


def carry_out(arena: ClusterArena, seed: int) -> Iterator[Row]:
    """Yields a row for each fault."""
    draws = random.Random(seed)
    for hit, count in COUNTS.items():
        for number in range(count):
            name = f"{hit.__name__}-{number}".replace("_", "-")
            yield hit(arena, Moment.drawn(name, draws))


def _row(kind: str, command: Command, outcome: str, most: int = 2 * SAVED_EVERY) -> Row:
    lost = command.trace.lost
    assert 0 <= lost <= most, f"lost {lost} steps"
    return Row(kind, lost, outcome)
