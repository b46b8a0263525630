"""Collects what somebody needs to do a study again.

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
    """A dataset that a study's figures depend on."""

    role: str
    """``dataset``, which trials learn from; ``queries`` and ``bank``, which k-NN compares."""

    folder: str
    fingerprint: str
    """Fingerprint of the dataset; empty where it was not stored."""


@dataclass(frozen=True)
class Reproduction:
    """Everything that somebody needs to do a study again."""

    command: str
    """Command that begins the study again, with a comment where it numbers settings differently."""

    source: str
    """The space's file."""

    overrides: tuple[str, ...]
    """Overrides that change the space's file into the space as it is now."""

    recipe_yaml: str
    space_yaml: str
    versions: dict[str, str]

    commit: str
    """Git commit of the folder that the study ran in; empty where it was not known."""

    has_changes: bool
    """Whether files there differed from the commit."""

    datasets: tuple[UsedDataset, ...]
    """The training set first. A bank that is not named is the training set."""

    seeds: tuple[int, ...]


def reproduction(
    study: Study,
    records: Sequence[TrialRecord],
    tags: Mapping[str, str],
    environment: Mapping[str, Any],
) -> Reproduction:
    """Collects what somebody needs to do the study again.

    Args:
        study: the study to do again.
        records: the records of its trials.
        tags: the tags of its MLflow run.
        environment: the output of ``describe_environment``.
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
    """The last value of each key, and the budget as it is now.

    A study that was extended or resumed has been given keys twice, and a resumption may have
    changed its budget. Once every trial has ended the budget has stopped none: only what the
    space's file says against that is named.
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
    """The limits in the space's file; none where it has gone."""
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
    """The space as a person writes it."""
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
    """Paths as seen from the folder that Poise was started in: others have other folders."""
    if isinstance(value, dict):
        return {key: _portable(each) for key, each in value.items()}
    if isinstance(value, str) and Path(value).is_relative_to(Path.cwd()):
        return str(Path(value).relative_to(Path.cwd()))
    return value
