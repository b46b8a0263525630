"""A study: what was asked for, and where its files are.

``<home>/<study>/study.json`` holds the request. Each trial has a folder beside it, which holds the
trial's record.

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
    """The request of a study, and where its files are."""

    name: str
    """Name of the study's folder under ``home()``."""

    space: Space
    recipe: Recipe
    """The recipe that trials change; paths of its datasets are absolute."""

    source: str
    """The space's file, as it was typed."""

    overrides: tuple[str, ...]

    command: Command = "sweep"
    """The command that began it, which decides the settings and their order."""

    settings: tuple[Settings, ...] = ()
    """The settings to try, by number; none where a searcher decides as it goes."""

    renumbered: bool = False
    """Whether a new study of the same space would number its settings in another order."""

    datasets: Fingerprints = field(default_factory=dict, hash=False)
    """Fingerprint by folder of every dataset that a trial reads; empty in older studies."""

    @property
    def decides_as_it_goes(self) -> bool:
        """Whether a searcher learns from trials what to try next."""
        return self.space.searcher.name != "random"

    @property
    def baseline(self) -> Settings:
        """The settings that others are compared with; in a sweep, perhaps no trial has them."""
        return baseline_of(self.space, self.recipe)

    @property
    def held_baseline(self) -> Settings | None:
        """The settings that stay while one changes; none where all change together."""
        return self.baseline if self.space.design == "one_at_a_time" else None

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The trials that are decided before the first begins, in the order in which they run.

        An ablation runs every setting with the first seed, then with the next. So the trials that
        an interruption leaves can be compared.
        """
        by_setting = [
            seeded(number, settings, self.space.seeds)
            for number, settings in enumerate(self.settings)
        ]
        rows = zip(*by_setting, strict=True) if self.command == "ablate" else by_setting
        return tuple(itertools.chain.from_iterable(rows))

    @property
    def folder(self) -> Path:
        """The folder of all the study's files."""
        return home() / self.name

    def trial_folder(self, trial: str) -> Path:
        """The folder of a trial's checkpoints and record."""
        return self.folder / trial

    def claim(self) -> None:
        """Makes the study's folder, which claims its name, and writes ``study.json``.

        Raises:
            PoiseError: there is a study or run of this name, or the folder cannot be written.
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
        """A trial's record; none where it never began, or its record was damaged."""
        return find_record(self.trial_folder(trial))

    def records(self) -> list[TrialRecord]:
        """Records of all trials that began, by setting. Copies of a trial's folder do not count."""
        found = [find_record(path.parent) for path in self.folder.glob(f"*/{TRIAL_FILE}")]
        records = [record for record in found if record is not None]
        return sorted(records, key=lambda record: (record.trial.setting, record.trial.seed))

    def write(self, record: TrialRecord) -> None:
        """Replaces a trial's record in one step."""
        write_record(self.trial_folder(record.trial.name), record)


def load_study(folder: Path) -> Study:
    """The study that ``save`` wrote.

    Raises:
        PoiseError: its file cannot be read, or another version of Poise wrote it.
    """
    path = folder / STUDY_FILE
    content = read_json(path)
    try:
        return Study(
            name=folder.name,  # wherever it was renamed to
            space=Space.model_validate(content["space"]),
            recipe=Recipe.model_validate(content["recipe"]),
            source=content["source"],
            overrides=tuple(content["overrides"]),
            command=content.get("command", "sweep"),
            settings=tuple(content["settings"]),  # without them nothing would be left to do
            renumbered=content.get("renumbered", False),
            datasets=content.get("datasets", {}),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise PoiseError(
            f"{path}: was written by another version of Poise, or changed: "
            f"{lacking(error, 'study')}; finish the study with that version, or begin another"
        ) from None


def stored_study(name: str, asking: str) -> Study:
    """The stored study of a name.

    Args:
        name: the study's name.
        asking: the command or option that asks for it, for the error.

    Raises:
        PoiseError: there is no such study, or its file cannot be read.
    """
    if not (home() / name / STUDY_FILE).is_file():
        raise unknown(f"{asking} {name}", "study", STUDY_FILE)
    return load_study(home() / name)


def count_trials(study: Study) -> int:
    """The number of trials of the whole study."""
    space = study.space
    settings = space.num_searched if study.decides_as_it_goes else len(study.settings)
    return settings * len(space.seeds)
