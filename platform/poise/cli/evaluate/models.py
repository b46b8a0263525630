"""Opens models to compare, and gives each its own label.

In: references as the user typed them. Out: ``NamedModel``s. Next: ``poise.cli.evaluate.attention``
and ``poise.cli.evaluate.measured``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poise.cli.evaluate.options import normalization_of
from poise.config.errors import PoiseError
from poise.evaluation.measurement import as_name

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class NamedModel:
    """Opened model, before it is measured."""

    reference: str
    """Reference as the user typed it."""

    label: str
    """Short name for legends and for a folder. Every model has a different label."""

    backbone: nn.Module
    normalization: tuple[list[float], list[float]]
    image_px: int
    run_id: str | None
    """Id of the run that made the model; None if this store does not hold the run."""

    made_by: str | None = None
    """Id of the run that made it, whatever store has it; None where the package does not say."""

    step: int | None = None
    """Step of the checkpoint that it belongs to; None for other packages."""


def open_models(references: Sequence[str]) -> list[NamedModel]:
    """Opens models, in the order of their references.

    Raises:
        PoiseError: a model is named twice, cannot be opened or has no transformer blocks, or two
            models would have the same label.
    """
    return [_open(reference, label) for reference, label in _labels(references).items()]


def _labels(references: Sequence[str]) -> dict[str, str]:
    """Makes short names from the ends of the references, just long enough to differ."""
    twice = {each for each in references if references.count(each) > 1}
    if twice:
        raise PoiseError(f"{', '.join(sorted(twice))}: named twice; name each model once")
    parts = {
        each: [part for part in re.split(r"[/\\]", each.removeprefix("models:/")) if part]
        for each in references
    }
    for length in range(1, max(map(len, parts.values())) + 1):
        labels = {each: as_name("-".join(ends[-length:])) for each, ends in parts.items()}
        # A version number alone is not a useful name.
        if len(set(labels.values())) == len(labels) and not any(map(str.isdigit, labels.values())):
            break
    if len(set(labels.values())) < len(labels):
        raise PoiseError(f"{', '.join(references)}: rename one; their files would share a folder")
    return labels


def _open(reference: str, label: str) -> NamedModel:
    from poise.models.block_traces import num_blocks
    from poise.tracking.evaluation import find_maker
    from poise.tracking.registry.fetch import load_model
    from poise.training.checkpoint import step_of_package

    backbone, config = load_model(reference)
    try:
        num_blocks(backbone)
    except PoiseError as error:
        raise PoiseError(f"{reference}: {error}") from None
    return NamedModel(
        reference=reference,
        label=label,
        backbone=backbone,
        normalization=normalization_of(config, reference),
        image_px=config.get("evaluation_px") or config["image_px"],
        run_id=find_maker(config),
        made_by=config.get("lineage", {}).get("run_id"),
        step=step_of_package(reference),
    )
