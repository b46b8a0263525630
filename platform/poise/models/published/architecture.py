"""Describes the architecture of backbones from timm's names and arguments.

In: a timm name, or the arguments in a Hugging Face folder. Out: a ``Reading`` (architecture and
weights). Next: ``poise.models.published.sources``.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from poise.config.errors import PoiseError, one_line
from poise.config.recipe import BackboneConfig
from poise.models.published.translation import Reading, Tensors
from poise.models.timm_models import family

_DECIDED = (
    *("img_size", "num_classes", "dynamic_img_size", "reg_tokens", "num_reg_tokens"),
    "drop_path_rate",
)
"""Arguments of timm that are not stored, because other parts of a package's config decide them."""


def describe(model: nn.Module, tensors: Tensors) -> Reading:
    """Describes the architecture of a timm model as a ``Reading``.

    Args:
        model: output of ``timm.create_model``.
        tensors: weights of the model, for example from a file.

    Raises:
        PoiseError: Poise does not support models of this family as backbones.
    """
    source: Any = model
    name = str(source.pretrained_cfg["architecture"])
    kind = family(name)
    if kind == "other":
        raise PoiseError(f"{name}: a {type(model).__name__} cannot be a backbone")
    if getattr(source, "attn_pool", None) is not None:
        raise PoiseError(
            f"{name}: pools by attention, which Poise does not support; use a model that has a "
            "[cls] token or takes the mean of its patches"
        )
    if kind == "resnet":
        px = int(source.pretrained_cfg["input_size"][-1])
        return Reading(BackboneConfig(name=name, drop_path=0), px, tensors, px)
    registers = getattr(source, "reg_token", None)
    num_registers = 0 if registers is None else int(registers.shape[1])
    options: dict[str, Any] = {"global_pool": source.global_pool}
    without_positions = getattr(source, "no_embed_class", False)
    if kind != "beit" and without_positions != (num_registers > 0):
        options["no_embed_class"] = without_positions
    if "dinov3" in name:
        options["global_pool"] = "token"  # as published; timm's default is the mean patch
    second = "dinov2" in name
    as_dino = (second and not num_registers) or source.pretrained_cfg.get("tag") == "dino"
    config = BackboneConfig(
        name=name,
        num_registers=num_registers,
        drop_path=0,
        position_resampling="dino" if as_dino else "timm",
        options=options,
    )
    image_px = int(source.patch_embed.img_size[0])
    # DINOv2's positions are for 518 px, but its published evaluations use 224.
    return Reading(config, image_px, tensors, min(image_px, 224) if second else image_px)


def from_arguments(name: str, arguments: Mapping[str, Any], tensors: Tensors) -> Reading:
    """Describes the model of a timm folder's ``config.json``.

    Args:
        name: timm's name, without a tag.
        arguments: ``model_args`` of the file.
        tensors: weights of the model.

    Raises:
        PoiseError: Poise does not support models of this family as backbones, or the model does not
            accept the arguments.
    """
    import timm

    if family(name) == "other":
        raise PoiseError(f"{name}: cannot be a backbone")
    try:
        model = timm.create_model(name, **{**arguments, "num_classes": 0})
    except Exception as error:  # timm checks little: a wrong value fails where it is first used
        why = one_line(error) or type(error).__name__
        raise PoiseError(
            f"model_args={dict(arguments)}: timm's {name} does not take them: {why}"
        ) from None
    reading = describe(model, tensors)
    kept = {key: value for key, value in arguments.items() if key not in _DECIDED}
    options = {**reading.backbone.options, **kept}
    return Reading(
        reading.backbone.model_copy(update={"options": options}),
        reading.image_px,
        tensors,
        reading.evaluation_px,
    )
