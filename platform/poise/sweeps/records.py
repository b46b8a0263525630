"""What a study knows of itself, in files that any later process can read.

``<home>/<study>/study.json`` holds what was asked for; ``<home>/<study>/<trial>/trial.json`` how
a trial stands, written by the trial's own process, or by the study's where that process is gone.

In: trials as they go. Out: the same, after any interruption. Next: ``poise.sweeps.report``.
"""

import itertools
import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from poise.config import PoiseError, Recipe, Space
from poise.config.paths import home
from poise.diagnostics import Verdict, VerdictKind
from poise.sweeps.settings import Settings, Trial, baseline_of, seeded

STUDY_FILE = "study.json"
TRIAL_FILE = "trial.json"

Command = Literal["sweep", "ablate"]
State = Literal["running", "interrupted", "finished", "stopped", "failed"]
"""``stopped``: early, by the scheduler or the ``CollapseStopper``. ``interrupted`` is never stored:
it is what one that is stored as ``running`` was where nothing runs, see ``standing.told``."""


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


@dataclass(frozen=True)
class Study:
    """A study's request, and where its files are."""

    name: str
    space: Space
    recipe: Recipe
    """What trials change; its datasets are absolute."""

    source: str
    """The space's file, as it was given."""

    overrides: tuple[str, ...]

    command: Command = "sweep"
    """The verb that it was begun with: what its settings are, and in which order they run."""

    settings: tuple[Settings, ...] = ()
    """What is tried, by number; none where a searcher decides as it goes."""

    @property
    def decides_as_it_goes(self) -> bool:
        """Whether a searcher learns from trials what to try next."""
        return self.space.searcher.name != "random"

    @property
    def baseline(self) -> Settings:
        """What other settings are compared with; of a sweep, no trial may have it."""
        return baseline_of(self.space, self.recipe)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All that are decided beforehand, in the order in which they run.

        An ablation runs every setting with the first seed, then with the next: wherever it is
        interrupted, what there is can be compared.
        """
        by_setting = [
            seeded(number, settings, self.space.seeds)
            for number, settings in enumerate(self.settings)
        ]
        rows = zip(*by_setting, strict=True) if self.command == "ablate" else by_setting
        return tuple(itertools.chain.from_iterable(rows))

    @property
    def folder(self) -> Path:
        """Of everything that the study leaves."""
        return home() / self.name

    def trial_folder(self, trial: str) -> Path:
        """Of a trial's checkpoints and record."""
        return self.folder / trial

    def save(self) -> None:
        """Writes ``study.json``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {
            "name": self.name,
            "space": self.space.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json"),
            "source": self.source,
            "overrides": list(self.overrides),
            "command": self.command,
            "settings": list(self.settings),
        }
        write_json(self.folder / STUDY_FILE, content)

    def record(self, trial: str) -> TrialRecord | None:
        """How a trial stands; none where it never began."""
        path = self.trial_folder(trial) / TRIAL_FILE
        return _read_record(path) if path.exists() else None

    def records(self) -> list[TrialRecord]:
        """Every trial that began, setting by setting."""
        records = [_read_record(path) for path in self.folder.glob(f"*/{TRIAL_FILE}")]
        return sorted(records, key=lambda record: (record.trial.setting, record.trial.seed))

    def write(self, record: TrialRecord) -> None:
        """Replaces a trial's record in one step."""
        folder = self.trial_folder(record.trial.name)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / TRIAL_FILE, asdict(record))


def load_study(folder: Path) -> Study:
    """The study that ``save`` wrote.

    Raises:
        PoiseError: its file cannot be read, or another version of Poise wrote it.
    """
    path = folder / STUDY_FILE
    content = read_json(path)
    try:
        return Study(
            name=content["name"],
            space=Space.model_validate(content["space"]),
            recipe=Recipe.model_validate(content["recipe"]),
            source=content["source"],
            overrides=tuple(content["overrides"]),
            command=content.get("command", "sweep"),
            settings=tuple(content["settings"]),  # without them nothing would be left to do
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise PoiseError(
            f"{path}: was written by another version of Poise, or changed: {_lacking(error)}; "
            "finish the study with that version, or begin another"
        ) from None


def _lacking(error: Exception, kind: str = "study") -> str:
    """What is wrong with a file that should hold something of this kind, in a few words."""
    if isinstance(error, KeyError):
        return f"it has no '{error.args[0]}'"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    _, made_of_fields, complaint = str(error).partition("__init__() ")
    return complaint if made_of_fields else f"it is no {kind}"


def stored_study(name: str, asking: str) -> Study:
    """The study of a name, as it is stored; ``asking`` is what asks for it, for messages."""
    if not (home() / name / STUDY_FILE).is_file():
        known = sorted(path.parent.name for path in home().glob(f"*/{STUDY_FILE}"))
        raise PoiseError(
            f"{asking} {name}: {home()} holds no such study; "
            + (f"it holds {', '.join(known)}" if known else "it holds none")
        )
    return load_study(home() / name)


def begun_again(record: TrialRecord) -> TrialRecord:
    """The record that a new attempt at a trial begins with."""
    return replace(record, state="running", verdict=None, reason="", stopped_by=None)


def write_json(path: Path, content: Any) -> None:
    """Writes a file that is either whole or absent. What is not finite is null: JSON has no NaN."""
    partial = path.with_name(f"{path.name}.partial")
    text = json.dumps(_finite(content), indent=2, allow_nan=False)
    partial.write_text(f"{text}\n", encoding="utf-8")
    partial.replace(path)


def read_json(path: Path) -> Any:
    """The content of a file that ``write_json`` wrote."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise PoiseError(f"{path}: cannot be read: {error}") from None


def _read_record(path: Path) -> TrialRecord:
    """The record that ``Study.write`` wrote.

    Raises:
        PoiseError: it cannot be read, or another version of Poise wrote it.
    """
    content = read_json(path)
    try:
        return _as_record(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PoiseError(
            f"{path}: was written by another version of Poise, or changed: "
            f"{_lacking(error, 'trial')}; finish the study with that version, or move the file "
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


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
