"""Loads a translated checkpoint into its model. If the result would be incomplete, raises an error.

In: a ``Translation`` (a checkpoint with timm's names). Out: an ``Imported``, which contains the
origin of each fact. Next: ``poise.models.published.sources``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.wording import counted
from poise.models.backbone import build_backbone
from poise.models.package import first_not_finite
from poise.models.published.shapes import Basis
from poise.models.published.stored_tensors import check_type
from poise.models.published.translation import Reading, Translation

_NAMED = 4  # names in a message before the rest is a number


@dataclass(frozen=True)
class Fact:
    """Property of an imported model that must be correct, or else its features are wrong."""

    name: str
    value: str
    basis: Basis


@dataclass(frozen=True)
class Imported:
    """Imported backbone with its config and the facts that were used."""

    backbone: nn.Module

    config: dict[str, Any]
    """Config of the backbone's package, without the lineage."""

    layout: str
    matched: int
    mapped: int
    dropped: dict[str, int]
    notes: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    """Known and assumed facts about the model."""

    prefix: str = ""
    """Prefix of the backbone's tensor names in the file."""


def load(translation: Translation, evaluation_px: int | None = None) -> Imported:
    """Builds the model and loads the weights.

    Args:
        translation: checkpoint with timm's names.
        evaluation_px: side of the images for evaluation; None uses the published side.

    Raises:
        PoiseError: tensors are missing, have other shapes, are not finite, or do not exist in the
            model; or the model cannot process images of the side ``evaluation_px``.
    """
    reading = translation.reading
    backbone = build_backbone(reading.backbone, reading.image_px).eval()
    model: Any = backbone.timm_model
    _check_complete(model.state_dict(), translation)
    # Half-precision weights become float32, which represents all their values exactly.
    state = {name: tensor.to(model.state_dict()[name]) for name, tensor in reading.tensors.items()}
    if broken := first_not_finite(state):
        raise PoiseError(f"{broken}: holds values beyond the range of float32, which no model has")
    model.load_state_dict(state)
    px, size_basis = _evaluation_px(backbone, reading, evaluation_px)
    preparation = reading.preparation
    config = {
        "backbone": reading.backbone.described,
        "image_px": reading.image_px,
        "evaluation_px": px,
        "normalization": {"mean": list(preparation.mean), "std": list(preparation.std)},
    }
    if preparation.interpolation != "bicubic":
        config["interpolation"] = preparation.interpolation
    return Imported(
        backbone,
        config,
        translation.layout,
        translation.matched,
        translation.mapped,
        translation.dropped,
        (*reading.notes, *_interpolation_note(preparation.interpolation)),
        _facts(model, reading, Fact("images", f"{px} × {px} px", size_basis)),
        translation.prefix,
    )


def _facts(model: Any, reading: Reading, size: Fact) -> tuple[Fact, ...]:
    """Lists the facts about the built model, read from the model itself, so that they are true."""
    preparation, decided = reading.preparation, Basis("the architecture")
    mean, std = (" ".join(f"{value:.4g}" for value in each)
                 for each in (preparation.mean, preparation.std))  # fmt: skip
    facts = [
        Fact("mean", mean, preparation.basis),
        Fact("std", std, preparation.basis),
        size,
    ]
    blocks = getattr(model, "blocks", None)
    if blocks is None:
        return tuple(facts)
    bases = reading.bases
    facts.append(Fact("heads", str(blocks[0].attn.num_heads), bases.get("heads", decided)))
    if getattr(model, "pos_embed", None) is not None or "grid" in bases:
        rows, columns = model.patch_embed.grid_size
        facts.append(Fact("grid", f"{rows} × {columns} patches", bases.get("grid", decided)))
    if "norm eps" in bases:
        eps = f"{blocks[0].norm1.eps:g}"
        facts.append(Fact("norm eps", eps, bases["norm eps"]))
    return tuple(facts)


def _evaluation_px(backbone: Any, reading: Reading, asked: int | None) -> tuple[int, Basis]:
    """Returns the side of images for evaluation (a multiple of the patch size), and its origin."""
    patch_px = int(backbone.patch_px)
    px = asked or reading.preparation.evaluation_px or reading.evaluation_px
    fixed = hasattr(backbone.timm_model, "rel_pos_bias") and px != reading.image_px
    if asked and fixed:
        raise PoiseError(
            f"--image-px {asked}: the relative positions are only for {reading.image_px} px; "
            "leave it out"
        )
    if asked and asked % patch_px:
        raise PoiseError(
            f"--image-px {asked}: is not a multiple of the patch of {patch_px} px; use "
            f"{max(1, round(asked / patch_px)) * patch_px}"
        )
    if fixed:
        px = reading.image_px
    px = max(patch_px, px // patch_px * patch_px)
    if asked:
        return px, Basis("given with --image-px")
    known = reading.preparation.evaluation_px
    text = reading.preparation.basis.text if known else "as the layout's models are evaluated"
    return px, Basis(text, None if known else "--image-px")


def _interpolation_note(interpolation: str) -> tuple[str, ...]:
    if interpolation == "bicubic":
        return ()
    return (
        f"its published evaluation resizes images with {interpolation} interpolation; Poise "
        "uses bicubic interpolation, so accuracies may differ slightly",
    )


def _check_complete(wanted: dict[str, Tensor], translation: Translation) -> None:
    given = translation.reading.tensors
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in wanted]
    if missing:
        other = (
            f"; {_some(unknown)} do not exist in it: if it is another model, name that model with "
            "--architecture"
        )
        raise PoiseError(
            f"the backbone is not complete: {len(missing)} of its {len(wanted)} tensors are "
            f"missing ({_some(missing)}); {translation.matched} matched, "
            f"{translation.mapped} mapped{other if unknown else ''}"
        )
    if unknown:
        raise PoiseError(
            f"{translation.reading.backbone.name} does not have "
            f"{counted(len(unknown), 'tensor')} of the file ({_some(unknown)}), so the file is of "
            "another model; name that model with --architecture"
        )
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            raise PoiseError(
                f"{name} is {list(tensor.shape)}, but the model has {list(wanted[name].shape)}"
            )
        check_type(name, tensor, wanted[name])
    if broken := first_not_finite(given):
        raise PoiseError(f"{broken}: holds NaN or infinite values, so the file is damaged")


def _some(names: Iterable[str]) -> str:
    names = list(names)
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest
