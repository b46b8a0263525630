"""Draws faults from a seed, lets each hit a run, and checks what is left.

In: a seed. Out: a table of faults, lost steps and outcomes. Next: ``tests.faults.run_faults``.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.data.builders import encode, smooth_image, write_dataset
from tests.faults.attempt import STEPS, Fault, Kind, attempt, last_step, was_hit
from tests.faults.checks import Record, check_same, record_of, statuses, step_kept

SAVED_EVERY = 4
WENT_ON, RESUMED = "went on by itself", "ended, and was resumed"


@dataclass(frozen=True)
class Row:
    """One fault and what became of the run."""

    kind: str
    lost: int
    """Steps that had to be trained again."""

    outcome: str

    @property
    def words(self) -> str:
        """What became of the run, in a few words."""
        return f"{self.outcome}, {self.lost} steps lost"


COUNTS: dict[Kind, int] = {
    "killed in a step": 8,
    "killed at any moment": 8,
    "killed in a file operation": 10,
    "storage fails for a moment": 6,
    "storage fails for good": 4,
    "disk full for good": 4,
    "MLflow fails for a while": 6,
    "SIGTERM with notice": 6,
    "device memory full": 2,
}
"""Number of faults of each kind in `make faults`."""


def draw(kind: Kind, draws: random.Random) -> Fault:
    """Draws when a fault of a kind hits, and for how long."""
    if kind in ("killed in a step", "SIGTERM with notice", "device memory full"):
        return Fault(kind, draws.randrange(1, STEPS))
    if kind == "killed at any moment":
        return Fault(kind, draws.randrange(100, 3000))
    if kind == "MLflow fails for a while":
        return Fault(kind, draws.randrange(1, 6), draws.randrange(1, 6))
    times = 10**9 if kind.endswith("for good") else draws.randrange(1, 3)
    return Fault(kind, draws.randrange(1, 45), times)


@dataclass(frozen=True)
class Arena:
    """A folder with a dataset, and the run that no fault hits."""

    home: Path
    expected: Record

    @classmethod
    def open(cls, folder: Path, migrated_file: Path | None = None) -> "Arena":
        """Makes the dataset and trains the uninterrupted run.

        Args:
            folder: empty folder.
            migrated_file: an empty store of MLflow to copy; None makes one, which takes seconds.
        """
        write_dataset(folder / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(32)])
        home = folder / "home"
        home.mkdir()
        if migrated_file is not None:
            (home / "mlflow.db").write_bytes(migrated_file.read_bytes())
        assert attempt(home, "uninterrupted") == 0
        return cls(home, record_of(home, "uninterrupted"))

    def survive(self, name: str, fault: Fault) -> Row:
        """Lets a fault hit a run, finishes the run, and checks that nothing is lost.

        Raises:
            AssertionError: something is lost, doubled or half.
        """
        status, lost = attempt(self.home, name, fault), 0
        outcome = RESUMED if status else WENT_ON
        while status:
            kept = step_kept(self.home, name)
            lost = last_step(self.home, name) - kept
            most = 0 if fault.kind == "SIGTERM with notice" else self._most_lost(fault)
            assert 0 <= lost <= most, f"lost {lost} steps"
            status = attempt(self.home, name)
            assert status == 0, f"resuming ended with {status}"
        step_kept(self.home, name)
        check_same(record_of(self.home, name), self.expected)
        assert statuses(self.home / "mlflow.db")[name] == "FINISHED"
        return Row(fault.kind, lost, outcome)

    def _most_lost(self, fault: Fault) -> int:
        """Steps since the last checkpoint; twice as many if the fault hit the writing of one."""
        return SAVED_EVERY if fault.kind in ("killed in a step", "device memory full") else 8


def carry_out(arena: Arena, seed: int, counts: dict[Kind, int]) -> Iterator[Row]:
    """Yields a row for each fault. Faults that come after a run's end are drawn again."""
    draws = random.Random(seed)
    for kind, count in counts.items():
        hits = 0
        for number in range(4 * count):
            name = f"{kind} {number}".replace(" ", "-")
            fault = draw(kind, draws)
            row = arena.survive(name, fault)
            if was_hit(arena.home, name):
                hits += 1
                yield row
            if hits == count:
                break
        assert hits == count, f"{kind}: only {hits} of {count} faults hit"


def table(rows: Sequence[Row]) -> str:
    """Returns the rows as a Markdown table, one line for each kind."""
    lines = ["| fault | count | lost steps: median, most | outcome |", "|---|---|---|---|"]
    for kind in dict.fromkeys(row.kind for row in rows):
        same = [row for row in rows if row.kind == kind]
        lost = [row.lost for row in same]
        outcomes = [row.outcome for row in same]
        words = ", ".join(f"{outcomes.count(each)} {each}" for each in dict.fromkeys(outcomes))
        lines.append(f"| {kind} | {len(same)} | {median(lost):g}, {max(lost)} | {words} |")
    lines.append(
        f"| all | {len(rows)} | {median(r.lost for r in rows):g}, {max(r.lost for r in rows)} | |"
    )
    return "\n".join(lines)
