"""Runs on nodes of Ray, and the commands that control them: processes of this machine.

In: a folder. Out: commands that run, and what is left of their runs. Next:
``tests.faults.cluster_faults`` lets faults hit them.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ray.cluster_utils import Cluster

from poise.tracking.store import open_store
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset
from tests.faults.checks import Record, check_same, record_of, statuses, step_kept
from tests.faults.witness import Trace, hold_file
from tests.waiting import wait_until

STEPS, SAVED_EVERY = 24, 4
REPOSITORY = Path(__file__).resolve().parents[2]
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}
ENVIRONMENT = {
    "RAY_worker_niceness": "0",  # with Ray's 15, workers of a busy machine get no CPU
    "RAY_raylet_start_wait_time_s": "300",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "platform"), str(REPOSITORY)]),
}


@dataclass
class Command:
    """A command that controls a run."""

    name: str
    process: subprocess.Popen[bytes]
    trace: Trace
    log: Path

    def wait_for(self, step: int) -> None:
        """Returns when a worker has finished the step.

        Raises:
            AssertionError: the command ended before.
        """
        wait_until(lambda: self.trace.reached(step) or self.process.poll() is not None)
        assert self.trace.reached(step), f"it ended before step {step}:\n{self.text}"

    def go_on(self) -> None:
        """Lets workers go on that wait after a step."""
        hold_file(self.trace.file).unlink()

    def ended(self) -> int:
        """Waits for the end and returns the exit status."""
        return self.process.wait()

    @property
    def text(self) -> str:
        """What the command printed."""
        return self.log.read_text(encoding="utf-8")


@dataclass
class ClusterArena:
    """A cluster of two nodes with a CPU each, a dataset, and the run that no fault hits."""

    folder: Path
    cluster: Any
    second: Any
    """The node that is not the head."""

    database: Path
    variables: dict[str, str] = field(default_factory=dict)
    """Environment of the commands, in addition to ``ENVIRONMENT``."""

    _commands: list[Command] = field(default_factory=list)
    _expected: Record | None = None

    @property
    def home(self) -> Path:
        """POISE_HOME of the commands."""
        return self.folder / "home"

    def pretrain(
        self, name: str, *words: str, workers: int = 1, hangs_at: int = 0, held_at: int = 0
    ) -> Command:
        """Starts a run.

        Args:
            name: name of the run.
            words: more words of the command.
            workers: number of workers.
            hangs_at: step whose batch never comes to the last worker; 0 for none.
            held_at: step after which the workers wait for ``Command.go_on``; 0 for none.
        """
        if held_at:
            hold_file(self.folder / name).write_text(str(held_at), encoding="utf-8")
        many = f"training.num_workers={workers}"
        return self._start(
            name, hangs_at, "recipe.yaml", "--name", name, "--no-register", many, *words
        )

    def resume(self, name: str) -> Command:
        """Starts a command that goes on with a run."""
        return self._start(name, 0, "--resume", name, "--no-register")

    def _start(self, name: str, hangs_at: int, *words: str) -> Command:
        trace, log = Trace(self.folder / f"{name}.jsonl"), self.folder / f"{name}.log"
        known = {"POISE_HOME": str(self.home), "RAY_ADDRESS": str(self.cluster.address)}
        command = [sys.executable, "-W", "ignore", "-m", "tests.faults.slow_command"]
        with log.open("a") as file:
            process = subprocess.Popen(
                [*command, str(trace.file), str(hangs_at), "pretrain", *words],
                env=os.environ | ENVIRONMENT | known | self.variables,
                cwd=self.folder,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._commands.append(Command(name, process, trace, log))
        return self._commands[-1]

    def check(self, command: Command, workers: int = 1) -> None:
        """Checks that a run which ended is the uninterrupted run, and that no run still runs.

        Args:
            command: command that ended.
            workers: number of workers. Losses of several workers differ in the last digits.

        Raises:
            AssertionError: something is lost, doubled or half.
        """
        assert command.ended() == 0, command.text
        assert step_kept(self.home, command.name) == STEPS
        found = record_of(self.home, command.name, self.database)
        check_same(found, self.expected(), 0 if workers == 1 else 1e-5)
        assert statuses(self.database)[command.name] == "FINISHED"
        assert "RUNNING" not in statuses(self.database).values()

    def expected(self) -> Record:
        """What is left of a run of one worker that no fault hits. It is carried out once."""
        if self._expected is None:
            command = self.pretrain("uninterrupted")
            assert command.ended() == 0, command.text
            assert command.trace.lost == 0
            self._expected = record_of(self.home, "uninterrupted", self.database)
        return self._expected

    def end_commands(self) -> None:
        """Ends the commands that are left."""
        for command in self._commands:
            command.process.kill()
            command.process.wait()


def make_inputs(folder: Path, migrated_file: Path | None = None) -> Path:
    """Makes a dataset, ``recipe.yaml`` and a store of MLflow. Returns the store's file."""
    write_dataset(folder / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(32)])
    recipe = tiny_recipe(
        data__dataset=str(folder / "dataset"),
        training__epochs=STEPS // 4,
        training__checkpoint_every_steps=SAVED_EVERY,
    )
    text = yaml.safe_dump(recipe.model_dump(mode="json"))
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    database = folder / "home" / "mlflow.db"
    database.parent.mkdir()
    if migrated_file is None:
        open_store(f"sqlite:///{database}")
    else:
        shutil.copy(migrated_file, database)
    return database


@contextmanager
def cluster_arena(folder: Path, migrated_file: Path | None = None) -> Iterator[ClusterArena]:
    """Starts two nodes of Ray, and makes a dataset and a recipe.

    Args:
        folder: empty folder.
        migrated_file: an empty store of MLflow to copy; None makes one, which takes seconds.
    """
    database = make_inputs(folder, migrated_file)
    os.environ.update(ENVIRONMENT)  # the nodes' processes inherit it
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    arena = ClusterArena(folder, cluster, cluster.add_node(**NODE), database)
    try:
        yield arena
    finally:
        arena.end_commands()
        cluster.shutdown()
