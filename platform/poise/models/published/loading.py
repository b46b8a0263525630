"""A translated checkpoint in its model: complete, or refused.

In: a ``Translation``. Out: an ``Imported``. Next: ``poise.models.published.sources``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.models.backbone import build_backbone
from poise.models.published.translation import Translation

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and std of the images that every published model here was trained on."""

_NAMED = 4  # names in a message before the rest is a number


@dataclass(frozen=True)
class Imported:
    """A backbone of others, whole."""

    backbone: nn.Module

    config: dict[str, Any]
    """Of its package, with all but the lineage."""

    layout: str
    matched: int
    mapped: int
    dropped: dict[str, int]
    notes: tuple[str, ...] = ()


def load(
    translation: Translation,
    normalization: tuple[Sequence[float], Sequence[float]] = IMAGENET,
    evaluation_px: int | None = None,
) -> Imported:
    """Builds the model and gives it the weights.

    Args:
        translation: of the checkpoint.
        normalization: channel mean and std of the images that it was trained on.
        evaluation_px: side of the images that it is evaluated on; by default as published.

    Raises:
        PoiseError: tensors are missing, of other shapes, not finite, or have no place in the
            model.
    """
    reading = translation.reading
    backbone = build_backbone(reading.backbone, reading.image_px).eval()
    model = backbone.timm_model
    _check_complete(model.state_dict(), translation)
    # Half-precision files become float32, which holds every value of theirs.
    state = {name: tensor.to(model.state_dict()[name]) for name, tensor in reading.tensors.items()}
    model.load_state_dict(state)
    mean, std = normalization
    config = {
        "backbone": reading.backbone.model_dump(mode="json"),
        "image_px": reading.image_px,
        "evaluation_px": evaluation_px or reading.evaluation_px,
        "normalization": {"mean": list(mean), "std": list(std)},
    }
    return Imported(
        backbone,
        config,
        translation.layout,
        translation.matched,
        translation.mapped,
        translation.dropped,
        reading.notes,
    )


def _check_complete(wanted: dict[str, Tensor], translation: Translation) -> None:
    given = translation.reading.tensors
    missing = [name for name in wanted if name not in given]
    if missing:
        raise PoiseError(
            f"the backbone is not complete: {len(missing)} of its {len(wanted)} tensors are "
            f"missing ({_some(missing)}); {translation.matched} matched, "
            f"{translation.mapped} mapped"
        )
    unknown = [name for name in given if name not in wanted]
    if unknown:
        raise PoiseError(
            f"{len(unknown)} tensors have no place in {translation.reading.backbone.name} "
            f"({_some(unknown)}): it is not the model that they were trained in; "
            "say which with --architecture"
        )
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            raise PoiseError(
                f"{name} is {list(tensor.shape)}, where the model has {list(wanted[name].shape)}"
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise PoiseError(f"{name}: holds values that are not finite")


def _some(names: Iterable[str]) -> str:
    names = list(names)
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest
