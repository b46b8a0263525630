"""Opens the models that a command measures, and gives each a different label.

In: references as the user typed them. Out: ``NamedModel`` objects. Next:
``poise.cli.evaluate.attention`` and ``poise.cli.evaluate.measured``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poise.cli.evaluate.options import normalization_of
from poise.config.errors import PoiseError
from poise.config.paths import UNTRAINED
from poise.evaluation.measurement import as_name

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class NamedModel:
    """Opened model that will be measured."""

    reference: str
    """Reference as the user typed it."""

    label: str
    """Short name for legends and for a folder. No two models have the same label."""

    backbone: nn.Module
    normalization: tuple[list[float], list[float]]
    image_px: int
    package: Path
    """Folder of the model's package."""

    run_id: str | None
    """Id of the run that made the model, or None if this store does not have the run."""

    made_by: str | None = None
    """Id of the run that made the model, in any store. It is None if the package does not contain
    it.
    """

    step: int | None = None
    """Training step of the model's checkpoint, or None for other packages."""


def open_models(references: Sequence[str]) -> list[NamedModel]:
    """Opens models, in the order of their references.

    Raises:
        PoiseError: a model is named twice or cannot be opened, or two models would have the same
            label.
    """
    return [_open(reference, label) for reference, label in _labels(references).items()]


def open_transformers(references: Sequence[str]) -> list[NamedModel]:
    """Opens models that have patch tokens, in the order of their references.

    Raises:
        PoiseError: as ``open_models``, or a model has no patch tokens.
    """
    models = open_models(references)
    check_transformers(models)
    return models


def check_transformers(models: Sequence[NamedModel]) -> None:
    """Checks that all models have patch tokens. Residual networks have none.

    Raises:
        PoiseError: a model has no patch tokens.
    """
    from poise.models.backbone import check_patches

    for model in models:
        try:
            check_patches(model.backbone)
        except PoiseError as error:
            raise PoiseError(f"{model.reference}: {error}") from None


def _labels(references: Sequence[str]) -> dict[str, str]:
    """Makes a short name from the end of each reference, just long enough to differ from others."""
    twice = {each for each in references if references.count(each) > 1}
    if twice:
        raise PoiseError(f"{', '.join(sorted(twice))}: named twice; name each model once")
    parts = {each: _parts(each) for each in references}
    for length in range(1, max(map(len, parts.values())) + 1):
        labels = {each: as_name("-".join(ends[-length:])) for each, ends in parts.items()}
        # A version number alone is not a useful name.
        if len(set(labels.values())) == len(labels) and not any(map(str.isdigit, labels.values())):
            break
    if len(set(labels.values())) < len(labels):
        raise PoiseError(f"{', '.join(references)}: rename one; their files would share a folder")
    return labels


def _parts(reference: str) -> list[str]:
    """Splits a reference at its slashes.

    For random weights, the last part ends in ``-untrained``.
    """
    trained = reference.removeprefix(UNTRAINED)
    parts = [part for part in re.split(r"[/\\]", trained.removeprefix("models:/")) if part]
    return parts if trained == reference or not parts else [*parts[:-1], f"{parts[-1]}-untrained"]


def _open(reference: str, label: str) -> NamedModel:
    from poise.models.package import loader_of
    from poise.tracking.evaluation import find_maker
    from poise.tracking.registry.fetch import find_package
    from poise.training.checkpoint import step_of_package

    trained, load = loader_of(reference)
    package = find_package(trained)
    backbone, config = load(package)
    return NamedModel(
        reference=reference,
        label=label,
        backbone=backbone,
        normalization=normalization_of(config, reference),
        image_px=config.get("evaluation_px") or config["image_px"],
        package=package,
        run_id=find_maker(config),
        made_by=config.get("lineage", {}).get("run_id"),
        step=step_of_package(reference),
    )
