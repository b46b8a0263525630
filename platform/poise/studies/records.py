"""How trials stand, in files that any later process can read.

``<home>/<study>/<trial>/trial.json`` is written by the trial's own process, or by the study's
where that process is gone.

In: a trial as it goes. Out: the same, after any interruption. Next: ``poise.studies.study``.
"""

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from poise.config import PoiseError
from poise.config.files import lacking, read_json, write_json
from poise.diagnostics.judge import Verdict, VerdictKind
from poise.studies.trials import Settings, Trial

TRIAL_FILE = "trial.json"

State = Literal["running", "interrupted", "finished", "stopped", "failed"]
"""``stopped``: early, by the scheduler or the ``CollapseStopper``. ``interrupted`` is never stored:
it is what one that is stored as ``running`` was where nothing runs, see
``standing.as_they_stand``."""


@dataclass(frozen=True)
class Change:
    """A trial goes on from another's checkpoint, with settings of its own."""

    step: int
    """Of the checkpoint; the settings hold from here on."""

    donor: str
    checkpoint: str
    settings: Settings


@dataclass(frozen=True)
class TrialRecord:
    """How a trial stands."""

    trial: Trial
    state: State
    run_id: str | None = None
    verdict: Verdict | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    """Latest value of each metric that was kept."""

    step: int = 0
    total_steps: int = 0
    planned_steps: int | None = None
    """What the schedules span, where the trial was to end before."""

    seconds: float = 0.0
    """Wall time of all attempts whose end was seen."""

    checkpoint: str | None = None
    reason: str = ""
    """Why it failed, in one line."""

    stopped_by: str | None = None
    """What ended it early: a scheduler's name, or ``CollapseStopper``."""

    changes: tuple[Change, ...] = ()
    """Of its weights and settings, by population-based training; oldest first."""

    @property
    def current(self) -> Trial:
        """The trial with the settings that it ends with, or has now."""
        settings = self.changes[-1].settings if self.changes else self.trial.settings
        return replace(self.trial, settings=settings)

    @property
    def is_done(self) -> bool:
        """Whether resuming leaves it as it is."""
        return self.state in ("finished", "stopped")

    @property
    def is_open(self) -> bool:
        """Whether it began and has not ended."""
        return self.state in ("running", "interrupted")

    @property
    def outcome(self) -> str:
        """The verdict, or what came in its place.

        A verdict on a trial that a scheduler stopped is of its beginning, and says so.
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
    """Replaces the record in a trial's folder in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / TRIAL_FILE, asdict(record))


def read_record(path: Path) -> TrialRecord:
    """The record that ``write_record`` wrote.

    Raises:
        PoiseError: it cannot be read, or another version of Poise wrote it.
    """
    content = read_json(path)
    try:
        return _as_record(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PoiseError(
            f"{path}: was written by another version of Poise, or changed: "
            f"{lacking(error, 'trial')}; finish the study with that version, or move the file "
            "away and `--resume` the study, which then runs this trial again"
        ) from None


def _as_record(content: dict[str, Any]) -> TrialRecord:
    verdict = content["verdict"]
    if verdict is not None:
        verdict = Verdict(**{**verdict, "kind": VerdictKind(verdict["kind"])})
    metrics = {k: math.nan if v is None else v for k, v in content["metrics"].items()}
    trial = Trial(**content["trial"])
    changes = tuple(Change(**change) for change in content.get("changes", ()))
    return TrialRecord(
        **{**content, "trial": trial, "verdict": verdict, "metrics": metrics, "changes": changes}
    )
