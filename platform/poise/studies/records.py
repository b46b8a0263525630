"""The record of a trial: a file that any later process can read.

The trial's own process writes ``<home>/<study>/<trial>/trial.json``; where that process is gone,
the study's process writes it.

In: the state of a trial. Out: the same state, after any interruption. Next:
``poise.studies.study``.
"""

import logging
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from poise.config import PoiseError
from poise.config.files import DamagedFileError, lacking, read_json, set_aside, write_json
from poise.diagnostics.judge import Verdict, VerdictKind
from poise.studies.trials import Settings, Trial

TRIAL_FILE = "trial.json"

logger = logging.getLogger(__name__)

State = Literal["running", "interrupted", "finished", "stopped", "failed"]
"""``stopped``: the scheduler or the ``CollapseStopper`` ended the trial early. ``interrupted`` is
never stored: a trial that is stored as ``running`` was interrupted if no process runs the study,
see ``standing.as_they_stand``."""


@dataclass(frozen=True)
class Change:
    """A trial goes on from another trial's checkpoint, with new settings."""

    step: int
    """Step of the checkpoint; the settings hold from here on."""

    donor: str
    """Name of the other trial."""

    checkpoint: str
    """Folder of the checkpoint."""

    settings: Settings


@dataclass(frozen=True)
class TrialRecord:
    """The state of a trial, and what is known of it so far."""

    trial: Trial
    state: State
    run_id: str | None = None
    verdict: Verdict | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    """The latest value of each metric."""

    step: int = 0
    total_steps: int = 0
    planned_steps: int | None = None
    """Steps that the schedules span; the trial may have been planned to end earlier."""

    seconds: float = 0.0
    """Wall time of all attempts whose end is known."""

    checkpoint: str | None = None
    reason: str = ""
    """Why the trial failed, in one line."""

    stopped_by: str | None = None
    """What ended the trial early: a scheduler's name, or ``CollapseStopper``."""

    changes: tuple[Change, ...] = ()
    """Changes of weights and settings by population-based training, oldest first."""

    @property
    def current(self) -> Trial:
        """The trial with its newest settings."""
        settings = self.changes[-1].settings if self.changes else self.trial.settings
        return replace(self.trial, settings=settings)

    @property
    def is_done(self) -> bool:
        """Whether the trial has ended, so that resuming leaves it as it is."""
        return self.state in ("finished", "stopped")

    @property
    def is_open(self) -> bool:
        """Whether the trial began and has not ended."""
        return self.state in ("running", "interrupted")

    @property
    def outcome(self) -> str:
        """The verdict in words, or the state of a trial without a verdict.

        The verdict on a trial that a scheduler stopped covers only its beginning, and says so.
        """
        if self.state == "failed":
            return "failed"
        if self.verdict is None:
            return "running" if self.state == "running" else "interrupted"
        open_end = self.state == "stopped" and not self.verdict.condemned
        return f"{self.verdict.kind}{' (stopped early)' if open_end else ''}"


def begun_again(record: TrialRecord) -> TrialRecord:
    """The record that a new attempt at a trial begins with."""
    return replace(record, state="running", verdict=None, reason="", stopped_by=None)


def write_record(folder: Path, record: TrialRecord) -> None:
    """Replaces the record in a trial's folder in one step.

    Checkpoints are named from the study's folder on, so that the study can be renamed or moved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content, study = asdict(record), folder.parent
    for holder in (content, *content["changes"]):
        stored = holder["checkpoint"]
        if stored is not None and Path(stored).is_relative_to(study):
            holder["checkpoint"] = str(Path(stored).relative_to(study))
    write_json(folder / TRIAL_FILE, content)


def find_record(folder: Path) -> TrialRecord | None:
    """The record in a trial's folder; none where there is none that counts.

    A record of another trial's name does not count: somebody copied its folder. A damaged one is
    set aside, so that its trial runs again from its last checkpoint.

    Raises:
        PoiseError: another version of Poise wrote the record, or it cannot be read.
    """
    path = folder / TRIAL_FILE
    if not path.exists():
        return None
    try:
        record = read_record(path)
    except DamagedFileError as error:
        aside = set_aside(path)
        logger.warning("%s; it is kept as %s, and its trial can be resumed", error, aside.name)
        return None
    return record if record.trial.name == folder.name else None


def read_record(path: Path) -> TrialRecord:
    """The record that ``write_record`` wrote.

    Raises:
        DamagedFileError: the file is no JSON object.
        PoiseError: it cannot be read, or another version of Poise wrote it.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise DamagedFileError(f"{path}: is damaged: it holds no record")
    try:
        return _as_record(content, path.parent.parent)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PoiseError(
            f"{path}: was written by another version of Poise, or changed: "
            f"{lacking(error, 'trial')}; finish the study with that version, or move the file "
            "away and `--resume` the study, which then runs this trial again"
        ) from None


def _as_record(content: dict[str, Any], study: Path) -> TrialRecord:
    verdict = content["verdict"]
    if verdict is not None:
        verdict = Verdict(**{**verdict, "kind": VerdictKind(verdict["kind"])})
    metrics = {k: math.nan if v is None else v for k, v in content["metrics"].items()}
    trial = Trial(**content["trial"])
    changes = tuple(
        Change(**{**change, "checkpoint": str(_checkpoint(change["checkpoint"], study))})
        for change in content.get("changes", ())
    )
    stored = content.get("checkpoint")
    checkpoint = None if stored is None else str(_checkpoint(stored, study))
    read = {"trial": trial, "verdict": verdict, "metrics": metrics, "changes": changes}
    return TrialRecord(**{**content, **read, "checkpoint": checkpoint})


def _checkpoint(stored: str, study: Path) -> Path:
    """Finds a checkpoint, whose path was stored whole or relative to the study's folder."""
    path = study / stored
    if path.exists() or not Path(stored).is_absolute():
        return path
    # An older version stored the whole path, and the study was renamed or moved since: the trial's
    # folder is the first below the study's that is there.
    parts = Path(stored).parts
    tails = (study / Path(*parts[start:]) for start in range(1, len(parts)))
    return next((tail for tail in tails if tail.exists()), path)
