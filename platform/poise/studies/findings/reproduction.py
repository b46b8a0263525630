"""Collects everything that is needed to repeat a study.

In: a study, and the tags and environment of its run. Out: ``Reproduction``. Next:
``poise.studies.findings.findings``.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.config import PoiseError, Recipe, load_space
from poise.config.space import Budget
from poise.config.yaml_core import dump_yaml
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.study_progress import standing


@dataclass(frozen=True)
class UsedDataset:
    """Dataset that has an effect on a study's metrics."""

    role: str
    """Use of the dataset. ``dataset`` is the training set. k-NN classifies the images of
    ``queries`` by the images of ``bank``.
    """

    folder: str
    fingerprint: str
    """Fingerprint of the dataset. It is empty if it was not stored."""


@dataclass(frozen=True)
class Reproduction:
    """Everything that is needed to repeat a study."""

    command: str
    """Command that repeats the study. A comment is added if the repeated study would number its
    settings differently.
    """

    source: str
    """Path of the study's file."""

    overrides: tuple[str, ...]
    """Overrides of the study's file. With them, the file describes the search space that was used.
    """

    recipe_yaml: str
    space_yaml: str
    versions: dict[str, str]

    commit: str
    """Git commit of the study's working folder. It is empty if it is unknown."""

    has_changes: bool
    """Whether files in the working folder differed from the commit."""

    datasets: tuple[UsedDataset, ...]
    """Datasets, beginning with the training set. If there is no bank, k-NN uses the training set.
    """

    seeds: tuple[int, ...]


def reproduction(
    study: Study,
    records: Sequence[TrialRecord],
    tags: Mapping[str, str],
    environment: Mapping[str, Any],
) -> Reproduction:
    """Collects everything that is needed to repeat the study.

    Args:
        study: study to repeat.
        records: records of its trials.
        tags: tags of the study's MLflow run.
        environment: output of ``describe_environment``.
    """
    overrides = _overrides(study, standing(study, records).is_over)
    versions = {"python": environment["python"]} if "python" in environment else {}
    return Reproduction(
        command=_command(study, overrides),
        source=_portable(study.source),
        overrides=overrides,
        recipe_yaml=_as_yaml(study.recipe.model_dump(mode="json")),
        space_yaml=_as_yaml(_written(study)),
        versions={**versions, **environment.get("packages", {})},
        commit=tags.get("mlflow.source.git.commit", ""),
        has_changes=tags.get("poise.git_dirty") == "true",
        datasets=tuple(_datasets(study.recipe, tags)),
        seeds=tuple(sorted({record.trial.seed for record in records})),
    )


def _datasets(recipe: Recipe, tags: Mapping[str, str]) -> Iterator[UsedDataset]:
    probes = recipe.evaluation
    folders = {"dataset": recipe.data.dataset}
    if probes.every_epochs is not None:
        folders |= {"queries": probes.queries or "", "bank": probes.bank or ""}
    for role, folder in folders.items():
        if folder:
            yield UsedDataset(role, _portable(folder), tags.get(f"poise.{role}_fingerprint", ""))


def _overrides(study: Study, is_over: bool) -> tuple[str, ...]:
    """Returns the overrides without repeated keys, and with the current budget.

    A study that was extended or resumed may have several overrides of one key. Only the last one
    counts. The study's budget may have changed too. If every trial has ended, the budget did not
    matter. Then a limit is returned only if the study's file has another value for it.
    """
    last: dict[str, str] = {}
    for text in study.overrides:
        key = text.partition("=")[0]
        for older in [each for each in last if each == key or each.startswith(f"{key}.")]:
            del last[older]
        last[key] = text
    kept = (text for key, text in last.items() if key.partition(".")[0] != "budget")
    written, now = _written_budget(study), study.space.budget.model_dump()
    limits = (
        f"budget.{name}={'null' if value is None else value}"
        for name, value in now.items()
        if value != written[name] and (written[name] is not None or not is_over)
    )
    return (*kept, *limits)


def _written_budget(study: Study) -> dict[str, Any]:
    """Returns the limits in the study's file. It returns no limits if the file cannot be read."""
    with suppress(PoiseError):
        return load_space(study.source).budget.model_dump()
    return Budget().model_dump()


def _command(study: Study, overrides: Sequence[str]) -> str:
    words = ["poise", study.command, _portable(study.source), *overrides]
    return shlex.join(words) + (f"\n# {_RENUMBERED}" if study.renumbered else "")


_RENUMBERED = (
    "This command gives settings and trials other numbers, because the study was extended after it "
    "had begun."
)


def _written(study: Study) -> dict[str, Any]:
    """Returns the search space in the form of the study's file."""
    tree = study.space.model_dump(mode="json", exclude={"parameters"})
    samplers = study.space.parameters.items()
    tree["parameters"] = {
        key: {s.name: list(s.arguments if s.values is None else s.values)} for key, s in samplers
    }
    return tree


def _as_yaml(tree: Mapping[str, Any]) -> str:
    plain = {key: _portable(value) for key, value in tree.items()}
    return dump_yaml(plain)


def _portable(value: Any) -> Any:
    """Makes paths relative to the current folder, because other users have other folders."""
    if isinstance(value, dict):
        return {key: _portable(each) for key, each in value.items()}
    if isinstance(value, str) and Path(value).is_relative_to(Path.cwd()):
        return str(Path(value).relative_to(Path.cwd()))
    return value
