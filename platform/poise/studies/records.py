"""Record of a trial: a file that any later process can read.

The trial's own process writes ``<home>/<study>/<trial>/trial.json``. After this process has ended,
the process of the study writes the file.

In: the state of a trial. Out: the same state, also after an interruption. Next:
``poise.studies.study``.
"""

import logging
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from poise.config import PoiseError
from poise.config.files import DamagedFileError, lacking, read_json, set_aside, write_json
from poise.diagnostics.judge import Verdict, VerdictKind
from poise.studies.trials import Settings, Trial

TRIAL_FILE = "trial.json"

logger = logging.getLogger(__name__)

State = Literal["running", "interrupted", "finished", "stopped", "failed"]
"""State of a trial. ``stopped`` means that the scheduler or the ``CollapseStopper`` ended the trial
early. ``interrupted`` is never stored. A trial that is stored as ``running`` was interrupted if no
process runs the study (see ``study_progress.as_they_stand``).
"""


@dataclass(frozen=True)
class Change:
    """Point at which a trial copies another trial's checkpoint and gets new hyperparameters."""

    step: int
    """Step of the checkpoint. The new hyperparameters apply from this step on."""

    donor: str
    """Name of the trial that the checkpoint comes from."""

    checkpoint: str
    """Folder of the checkpoint."""

    settings: Settings


@dataclass(frozen=True)
class TrialRecord:
    """State of a trial and its results so far."""

    trial: Trial
    state: State
    run_id: str | None = None
    verdict: Verdict | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    """Maps each metric to its last value."""

    step: int = 0
    total_steps: int = 0
    planned_steps: int | None = None
    """Length of the schedules in steps. The trial may be planned to end earlier."""

    seconds: float = 0.0
    """Running time of all attempts together, in seconds. An attempt without a known end is not
    counted.
    """

    checkpoint: str | None = None
    reason: str = ""
    """Reason why the trial failed, in one line."""

    stopped_by: str | None = None
    """Name of the scheduler or stopper that ended the trial early, or None if nothing did."""

    changes: tuple[Change, ...] = ()
    """Changes of weights and hyperparameters by population-based training, the oldest first."""

    @property
    def current(self) -> Trial:
        """Trial with its latest hyperparameters."""
        settings = self.changes[-1].settings if self.changes else self.trial.settings
        return replace(self.trial, settings=settings)

    @property
    def is_done(self) -> bool:
        """Whether the trial has ended, so that resuming the study does not run it again."""
        return self.state in ("finished", "stopped")

    @property
    def is_open(self) -> bool:
        """Whether the trial has begun but not ended."""
        return self.state in ("running", "interrupted")

    @property
    def outcome(self) -> str:
        """Verdict as text, or the state of a trial without a verdict.

        If a scheduler stopped the trial, the verdict is only about its first steps, and the text
        says so.
        """
        if self.state == "failed":
            return "failed"
        if self.verdict is None:
            return "running" if self.state == "running" else "interrupted"
        open_end = self.state == "stopped" and not self.verdict.condemned
        return f"{self.verdict.kind}{' (stopped early)' if open_end else ''}"


def begun_again(record: TrialRecord) -> TrialRecord:
    """Makes the record for a new attempt at a trial."""
    return replace(record, state="running", verdict=None, reason="", stopped_by=None)


def write_record(folder: Path, record: TrialRecord) -> None:
    """Writes the record in a trial's folder. An existing record is replaced in one step.

    Paths of checkpoints are stored relative to the study's folder, so that a user can rename or
    move the study.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content, study = asdict(record), folder.parent
    for holder in (content, *content["changes"]):
        stored = holder["checkpoint"]
        if stored is not None and Path(stored).is_relative_to(study):
            holder["checkpoint"] = str(Path(stored).relative_to(study))
    write_json(folder / TRIAL_FILE, content)


def find_record(folder: Path) -> TrialRecord | None:
    """Reads the record in a trial's folder. Returns None if there is no valid record.

    A record with the name of another trial is not valid, because a user copied its folder. A
    damaged record is renamed, so that the trial can run again from its last checkpoint.

    Raises:
        PoiseError: another version of Poise wrote the record, or the file cannot be read.
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
    """Reads the record that ``write_record`` wrote.

    Raises:
        DamagedFileError: the file is not a JSON object.
        PoiseError: the file cannot be read, or another version of Poise wrote it.
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
    if content["state"] not in get_args(State):
        raise ValueError("there is no such state")
    for name in ("step", "total_steps", "seconds"):
        if not isinstance(content.get(name, 0), int | float):
            raise TypeError(f"{name} is no number")
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


def _checkpoint(stored: str, study: Path) -> Path | str:
    """Finds a checkpoint. Its stored path is absolute, a URI, or relative to the study's folder."""
    if "://" in stored:
        return stored
    path = study / stored
    if path.exists() or not Path(stored).is_absolute():
        return path
    # An older version stored absolute paths, and a user renamed or moved the study later. The
    # trial's folder is then the first existing folder inside the study's folder.
    parts = Path(stored).parts
    tails = (study / Path(*parts[start:]) for start in range(1, len(parts)))
    return next((tail for tail in tails if tail.exists()), path)
