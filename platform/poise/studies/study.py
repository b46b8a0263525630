"""Description of a study, and the location of its files.

``<home>/<study>/study.json`` contains the description. Each trial has its own folder next to this
file. The trial's record is in that folder.

In: a checked search space and recipe. Out: a ``Study`` that can be read again after any
interruption. Next: ``poise.sweeps.runner`` runs the study, and ``poise.reports`` reports on it.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from poise.config import PoiseError, Recipe, Space
from poise.config.checkpoint_storage import keep_storage
from poise.config.files import lacking, read_fields, write_json
from poise.config.paths import STUDY_FILE, claim_folder, home, unknown
from poise.studies.records import TRIAL_FILE, TrialRecord, find_record, write_record
from poise.studies.trials import Settings, Trial, baseline_of, seeded
from poise.training.datasets import Fingerprints

Command = Literal["sweep", "ablate"]


@dataclass(frozen=True)
class Study:
    """Description of a study: its search space, its recipe and its settings."""

    name: str
    """Name of the study's folder under ``home()``."""

    space: Space
    recipe: Recipe
    """Recipe that the trials change. The paths of its datasets are absolute."""

    source: str
    """Path of the study's file, as the user typed it."""

    overrides: tuple[str, ...]

    command: Command = "sweep"
    """Command that started the study. It decides which settings are tried, and their order."""

    settings: tuple[Settings, ...] = ()
    """Settings to try, in the order of their numbers. There are none if a searcher chooses them
    later.
    """

    renumbered: bool = False
    """Whether a new study of the same space would number its settings differently."""

    datasets: Fingerprints = field(default_factory=dict, hash=False)
    """Maps the folder of each dataset that the trials read to its fingerprint. Old studies have
    none.
    """

    @property
    def decides_as_it_goes(self) -> bool:
        """Whether a searcher chooses settings from the results of earlier trials."""
        return self.space.searcher.name != "random"

    @property
    def baseline(self) -> Settings:
        """Setting that others are compared with.

        In a sweep, possibly no trial has this setting.
        """
        return baseline_of(self.space, self.recipe)

    @property
    def held_baseline(self) -> Settings | None:
        """Baseline of a study that changes one hyperparameter at a time, else None."""
        return self.baseline if self.space.design == "one_at_a_time" else None

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Trials that are known before the study starts, in the order in which they run.

        An ablation runs every setting with the first seed, then every setting with the next seed.
        So settings can be compared even if the study is interrupted.
        """
        by_setting = [
            seeded(number, settings, self.space.seeds)
            for number, settings in enumerate(self.settings)
        ]
        rows = zip(*by_setting, strict=True) if self.command == "ablate" else by_setting
        return tuple(itertools.chain.from_iterable(rows))

    @property
    def folder(self) -> Path:
        """Folder of all files of the study."""
        return home() / self.name

    def trial_folder(self, trial: str) -> Path:
        """Returns the folder of a trial. It contains the trial's record and checkpoints."""
        return self.folder / trial

    def claim(self) -> None:
        """Reserves the study's name: creates its folder and writes ``study.json``.

        Raises:
            PoiseError: the name belongs to another study or run, or the folder is not writable.
        """
        claim_folder(self.name, f"poise {self.command} --resume {self.name}")
        keep_storage(self.folder)
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
        """Reads the record of a trial.

        Returns None if the trial never began, or if its record was damaged.
        """
        return find_record(self.trial_folder(trial))

    def records(self) -> list[TrialRecord]:
        """Reads the records of all trials that have begun, sorted by setting and seed.

        Folders of trials that a user copied do not count.
        """
        found = [find_record(path.parent) for path in self.folder.glob(f"*/{TRIAL_FILE}")]
        records = [record for record in found if record is not None]
        return sorted(records, key=lambda record: (record.trial.setting, record.trial.seed))

    def write(self, record: TrialRecord) -> None:
        """Writes the record of a trial. An existing record is replaced in one step."""
        write_record(self.trial_folder(record.trial.name), record)


def load_study(folder: Path) -> Study:
    """Reads a study from its folder.

    Raises:
        PoiseError: ``study.json`` cannot be read, or another version of Poise wrote it.
    """
    path = folder / STUDY_FILE
    content = read_fields(
        path, f"restore it from a backup, or begin another study; the trials stay in {folder}"
    )
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
    """Reads the study with the given name.

    Args:
        name: name of the study.
        asking: command or option that the user typed. The error message begins with it.

    Raises:
        PoiseError: there is no such study, or its file cannot be read.
    """
    if not (home() / name / STUDY_FILE).is_file():
        raise unknown(f"{asking} {name}", "study", STUDY_FILE)
    return load_study(home() / name)


def count_trials(study: Study) -> int:
    """Returns the number of trials of the study, including trials that have not begun."""
    space = study.space
    settings = space.num_searched if study.decides_as_it_goes else len(study.settings)
    return settings * len(space.seeds)
