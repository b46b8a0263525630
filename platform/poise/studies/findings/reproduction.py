"""Collects everything that is needed to repeat a study.

In: a study and where it ran. Out: ``Reproduction``. Next: ``poise.studies.findings.findings``.
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
    """Dataset that influences a study's metrics."""

    role: str
    """``dataset`` is the training set; ``queries`` and ``bank`` are the sets that k-NN compares."""

    folder: str
    fingerprint: str
    """Fingerprint of the dataset; empty if it was not stored."""


@dataclass(frozen=True)
class Reproduction:
    """Everything that is needed to repeat a study."""

    command: str
    """Command that repeats the study. If the repetition numbers settings differently, a comment
    says so.
    """

    source: str
    """File of the space."""

    overrides: tuple[str, ...]
    """Overrides that change the space's file into the space as it is now."""

    recipe_yaml: str
    space_yaml: str
    versions: dict[str, str]

    commit: str
    """Git commit of the folder that the study ran in; empty if it is unknown."""

    has_changes: bool
    """Whether files in that folder differed from the commit."""

    datasets: tuple[UsedDataset, ...]
    """Datasets, the training set first. If no bank is named, the training set is the bank."""

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
        tags: tags of its MLflow run.
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
    """Returns the last value of each key, and the budget as it is now.

    If a study was extended or resumed, a key may have been given twice, and the budget may have
    changed. When every trial has ended, the budget has stopped none of them. Then it is named only
    if the space's file has other limits.
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
    """Returns the limits in the space's file; no limits if the file does not exist any more."""
    with suppress(PoiseError):
        return load_space(study.source).budget.model_dump()
    return Budget().model_dump()


def _command(study: Study, overrides: Sequence[str]) -> str:
    words = ["poise", study.command, _portable(study.source), *overrides]
    return shlex.join(words) + (f"\n# {_RENUMBERED}" if study.renumbered else "")


_RENUMBERED = (
    "all at once they have other numbers: the study was extended, and its settings and trials are "
    "numbered in that order"
)


def _written(study: Study) -> dict[str, Any]:
    """Returns the space as a user writes it."""
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
