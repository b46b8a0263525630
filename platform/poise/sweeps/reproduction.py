"""What somebody needs to do a study again.

In: a study and where it ran. Out: ``Reproduction``. Next: ``poise.sweeps.findings``.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from poise.sweeps.records import Study, TrialRecord
from poise.sweeps.request import plan_settings


@dataclass(frozen=True)
class Reproduction:
    """What somebody needs to do it again."""

    command: str
    """With a comment, where it numbers the settings differently."""

    source: str
    """The space's file."""

    overrides: tuple[str, ...]
    recipe_yaml: str
    space_yaml: str
    versions: dict[str, str]
    dataset: str
    fingerprint: str
    seeds: tuple[int, ...]


def reproduction(
    study: Study, records: Sequence[TrialRecord], fingerprint: str, environment: Mapping[str, Any]
) -> Reproduction:
    """All of it.

    Args:
        study: that asked.
        records: of its trials.
        fingerprint: of the dataset.
        environment: as ``describe_environment`` has it.
    """
    versions = {"python": environment["python"]} if "python" in environment else {}
    return Reproduction(
        command=_command(study),
        source=_portable(study.source),
        overrides=study.overrides,
        recipe_yaml=_as_yaml(study.recipe.model_dump(mode="json")),
        space_yaml=_as_yaml(_written(study)),
        versions={**versions, **environment.get("packages", {})},
        dataset=_portable(study.recipe.data.dataset),
        fingerprint=fingerprint,
        seeds=tuple(sorted({record.trial.seed for record in records})),
    )


def _command(study: Study) -> str:
    words = ["poise", study.command, _portable(study.source), *study.overrides]
    planned = plan_settings(study.space, study.source, study.command)
    renumbered = bool(study.settings) and planned != study.settings
    return shlex.join(words) + (f"\n# {_RENUMBERED}" if renumbered else "")


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
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def _portable(value: Any) -> Any:
    """Paths as seen from the folder that Poise was started in: others have other folders."""
    if isinstance(value, dict):
        return {key: _portable(each) for key, each in value.items()}
    if isinstance(value, str) and Path(value).is_relative_to(Path.cwd()):
        return str(Path(value).relative_to(Path.cwd()))
    return value
