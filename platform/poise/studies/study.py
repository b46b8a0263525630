"""Request of a study, and the location of its files.

``<home>/<study>/study.json`` holds the request. Each trial has its own folder next to this file,
which holds the trial's record.

In: a checked request. Out: the same request, after any interruption. Next: ``poise.sweeps.runner``
carries it out, ``poise.reports`` reports on it.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from poise.config import PoiseError, Recipe, Space
from poise.config.files import lacking, read_json, write_json
from poise.config.paths import claim_folder, home, unknown
from poise.studies.records import TRIAL_FILE, TrialRecord, find_record, write_record
from poise.studies.trials import Settings, Trial, baseline_of, seeded
from poise.training.datasets import Fingerprints

STUDY_FILE = "study.json"


Command = Literal["sweep", "ablate"]


@dataclass(frozen=True)
class Study:
    """Request of a study, and the location of its files."""

    name: str
    """Name of the study's folder under ``home()``."""

    space: Space
    recipe: Recipe
    """Recipe that trials change. The paths of its datasets are absolute."""

    source: str
    """File of the space, as the user typed it."""

    overrides: tuple[str, ...]

    command: Command = "sweep"
    """Command that began the study. It decides the settings and their order."""

    settings: tuple[Settings, ...] = ()
    """Settings to try, by number; empty if a searcher decides during the study."""

    renumbered: bool = False
    """Whether a new study of the same space would number its settings in another order."""

    datasets: Fingerprints = field(default_factory=dict, hash=False)
    """Fingerprint of every dataset that a trial reads, by folder; empty in older studies."""

    @property
    def decides_as_it_goes(self) -> bool:
        """Whether a searcher chooses the next settings from the results of earlier trials."""
        return self.space.searcher.name != "random"

    @property
    def baseline(self) -> Settings:
        """Settings that others are compared with. A sweep may have no trial with these settings."""
        return baseline_of(self.space, self.recipe)

    @property
    def held_baseline(self) -> Settings | None:
        """Settings that stay fixed while one changes; None if all change together."""
        return self.baseline if self.space.design == "one_at_a_time" else None

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Trials that are known before the first begins, in the order in which they run.

        An ablation runs every setting with the first seed, then with the next. So the finished
        trials can be compared even after an interruption.
        """
        by_setting = [
            seeded(number, settings, self.space.seeds)
            for number, settings in enumerate(self.settings)
        ]
        rows = zip(*by_setting, strict=True) if self.command == "ablate" else by_setting
        return tuple(itertools.chain.from_iterable(rows))

    @property
    def folder(self) -> Path:
        """Folder of all the study's files."""
        return home() / self.name

    def trial_folder(self, trial: str) -> Path:
        """Returns the folder of a trial's checkpoints and record."""
        return self.folder / trial

    def claim(self) -> None:
        """Creates the study's folder, which reserves its name, and writes ``study.json``.

        Raises:
            PoiseError: there is a study or run of this name, or the folder is not writable.
        """
        claim_folder(self.name, f"poise {self.command} --resume {self.name}")
        self.save()

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
            "renumbered": self.renumbered,
            "datasets": dict(self.datasets),
        }
        write_json(self.folder / STUDY_FILE, content)

    def record(self, trial: str) -> TrialRecord | None:
        """Reads a trial's record; None if the trial never began, or its record was damaged."""
        return find_record(self.trial_folder(trial))

    def records(self) -> list[TrialRecord]:
        """Reads the records of all trials that began, by setting.

        Copied folders of trials do not count.
        """
        found = [find_record(path.parent) for path in self.folder.glob(f"*/{TRIAL_FILE}")]
        records = [record for record in found if record is not None]
        return sorted(records, key=lambda record: (record.trial.setting, record.trial.seed))

    def write(self, record: TrialRecord) -> None:
        """Replaces a trial's record in one step."""
        write_record(self.trial_folder(record.trial.name), record)


def load_study(folder: Path) -> Study:
    """Reads the study that ``save`` wrote.

    Raises:
        PoiseError: its file cannot be read, or another version of Poise wrote it.
    """
    path = folder / STUDY_FILE
    content = read_json(path)
    try:
        return Study(
            name=folder.name,  # the folder may have been renamed
            space=Space.model_validate(content["space"]),
            recipe=Recipe.model_validate(content["recipe"]),
            source=content["source"],
            overrides=tuple(content["overrides"]),
            command=content.get("command", "sweep"),
            settings=tuple(content["settings"]),  # required: without them nothing would run
            renumbered=content.get("renumbered", False),
            datasets=content.get("datasets", {}),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise PoiseError(
            f"{path}: was written by another version of Poise, or changed: "
            f"{lacking(error, 'study')}; finish the study with that version, or begin another"
        ) from None


def stored_study(name: str, asking: str) -> Study:
    """Reads the stored study with a name.

    Args:
        name: name of the study.
        asking: command or option of the user, for the error.

    Raises:
        PoiseError: there is no such study, or its file cannot be read.
    """
    if not (home() / name / STUDY_FILE).is_file():
        raise unknown(f"{asking} {name}", "study", STUDY_FILE)
    return load_study(home() / name)


def count_trials(study: Study) -> int:
    """Returns the number of trials of the whole study."""
    space = study.space
    settings = space.num_searched if study.decides_as_it_goes else len(study.settings)
    return settings * len(space.seeds)
