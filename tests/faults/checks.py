"""What must hold after a fault: the run is the uninterrupted one, and nothing is stored twice."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from poise.config.locations import Location
from poise.training.checkpoint import STATE_FILE, checkpoints, newest_checkpoint, read_run

SPEED = "throughput/"


@dataclass(frozen=True)
class Record:
    """What is left of a run that ended."""

    losses: dict[int, float]
    rows: tuple[tuple[str, int], ...]
    """Metric and step of every row in MLflow, in order, without the speed."""

    tensors: dict[str, torch.Tensor]

    @property
    def step(self) -> int:
        """Number of finished steps."""
        return max(self.losses)


def record_of(home: Path, name: str, database: Path | None = None) -> Record:
    """Reads a run's last checkpoint and its rows in MLflow's database."""
    newest = newest_checkpoint(home / name)
    assert newest is not None, f"{name} has no checkpoint"
    history = read_run(newest)["history"]
    losses = {step: metrics["loss/total"] for step, metrics in history if "loss/total" in metrics}
    return Record(losses, rows_of(database or home / "mlflow.db", name), tensors_of(newest))


def rows_of(database: Path, name: str) -> tuple[tuple[str, int], ...]:
    """Metric and step of every row of a run, without the speed."""
    query = (
        "SELECT key, step FROM metrics JOIN runs USING (run_uuid) WHERE runs.name = ? "
        "ORDER BY key, step"
    )
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(query, (name,)).fetchall()
    return tuple((key, step) for key, step in found if not key.startswith(SPEED))


def statuses(database: Path) -> dict[str, str]:
    """Status of every run by its name."""
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT name, status FROM runs").fetchall())


def tensors_of(checkpoint: Location) -> dict[str, torch.Tensor]:
    """All tensors of the objective and the optimiser."""
    state = torch.load(checkpoint / STATE_FILE, weights_only=True)
    moments = {
        f"{index}.{name}": value
        for index, values in state["optimizer"]["state"].items()
        for name, value in values.items()
    }
    both: dict[str, torch.Tensor] = state["objective"] | moments
    return both


def step_kept(home: Path, name: str) -> int:
    """Step of the newest checkpoint. Every checkpoint that Poise would load must be whole."""
    steps = [0]
    for each in checkpoints(home / name):
        tensors_of(each)
        steps.append(int(read_run(each)["step"]))
    return max(steps)


def check_same(found: Record, expected: Record, tolerance: float = 0.0) -> None:
    """Raises AssertionError unless a run is the uninterrupted run.

    Args:
        found: run that a fault hit.
        expected: uninterrupted run.
        tolerance: largest difference of losses; 0 also compares all tensors bit for bit.
    """
    doubled = {row for row in found.rows if found.rows.count(row) > 1}
    assert not doubled, f"stored twice: {sorted(doubled)[:4]}"
    missing = {*expected.rows} ^ {*found.rows}
    assert not missing, f"missing or new: {sorted(missing)[:4]}"
    assert found.losses.keys() == expected.losses.keys()
    worst = max(abs(found.losses[step] - loss) for step, loss in expected.losses.items())
    assert worst <= tolerance, f"losses differ by {worst:g}"
    if not tolerance:
        unequal = [
            name
            for name, value in expected.tensors.items()
            if not torch.equal(value, found.tensors[name])
        ]
        assert not unequal, f"tensors differ: {unequal[:4]}"
