"""Builds timm models from the description in a recipe or package.

In: a ``BackboneConfig`` and the side of its images. Out: the arguments for timm, and the model.
Next: ``poise.models.backbone``.
"""

from typing import Any, Literal

from torch import nn

from poise.config.errors import PoiseError, one_line
from poise.config.recipe import BackboneConfig
from poise.models.drop_path import replace_drop_paths

Family = Literal["vit", "eva", "beit", "resnet", "other"]

_FAMILIES: dict[str, Family] = {
    "vision_transformer": "vit",
    "vision_transformer_hybrid": "vit",
    "deit": "vit",
    "eva": "eva",
    "beit": "beit",
    "resnet": "resnet",
}  # by timm's module

NORM_EPS = "norm_eps"
"""Name of Poise's own option for the epsilon of every LayerNorm. timm has no such argument."""

_CLS_STD = 0.02  # as published for the [cls] token; timm uses 1e-6


def family(name: str) -> Family:
    """Returns the family of a timm model, such as ``vit`` or ``resnet``.

    Raises:
        PoiseError: timm has no such model.
    """
    import timm
    from timm.models import model_entrypoint

    if not timm.is_model(name):
        close = timm.list_models(f"*{name}*")[:3]
        hint = f"; did you mean {', '.join(close)}?" if close else "; see `timm.list_models()`"
        raise PoiseError(f"backbone.name={name}: timm has no such model{hint}")
    return _FAMILIES.get(model_entrypoint(name).__module__.rpartition(".")[2], "other")


def timm_arguments(config: BackboneConfig, image_px: int) -> dict[str, Any]:
    """Makes the arguments of ``timm.create_model(config.name, …)`` as plain values.

    Raises:
        PoiseError: timm has no such model, or the model has no tokens and so cannot have registers.
    """
    return {"num_classes": 0, **_family_arguments(config, image_px), **config.options}


def create_timm(config: BackboneConfig, image_px: int, drop_path: float) -> nn.Module:
    """Builds a timm model with random weights.

    Raises:
        PoiseError: timm has no such model, the model does not accept these options, or the model
            has parts that Poise would not use.
    """
    import timm
    from timm.models import VisionTransformer

    arguments = {"drop_path_rate": drop_path, **timm_arguments(config, image_px)}
    norm_eps = arguments.pop(NORM_EPS, None)
    try:
        model: nn.Module = timm.create_model(config.name, **arguments)
    except Exception as error:  # timm checks little: a wrong value fails where it is first used
        why = one_line(error) or type(error).__name__
        raise PoiseError(
            f"backbone.options={config.options}: timm's {config.name} does not take them: {why}"
        ) from None
    if norm_eps is not None:
        _set_norm_eps(model, norm_eps)
    if isinstance(model, VisionTransformer) and model.cls_token is not None:
        nn.init.trunc_normal_(model.cls_token, std=_CLS_STD)
    replace_drop_paths(model)
    _check_parts(config, model)
    return model


def _set_norm_eps(model: nn.Module, eps: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = float(eps)


def last_norm(model: nn.Module) -> nn.Module:
    """Returns the last norm layer of a timm transformer: ``norm``, or ``fc_norm``.

    A model has only one of the two. It has ``fc_norm`` if the norm layer comes after pooling.
    """
    norm, after_pooling = getattr(model, "norm", None), getattr(model, "fc_norm", None)
    if after_pooling is not None and isinstance(norm, nn.Identity | None):
        norm = after_pooling
    assert isinstance(norm, nn.Module)
    return norm


def _check_parts(config: BackboneConfig, model: Any) -> None:
    """Raises an error if the model has parts that Poise would not use, or inputs other than RGB."""
    if getattr(model, "dist_token", None) is not None:
        raise PoiseError(
            f"backbone.name={config.name}: has a distillation token, but Poise has no teacher for "
            f"it; use {config.name.replace('_distilled', '')}"
        )
    if getattr(model, "attn_pool", None) is not None:
        raise PoiseError(
            f"backbone.name={config.name}: pools by attention, which Poise does not support; set "
            "backbone.options.global_pool to 'token', or to 'avg' if it has no [cls] token"
        )
    if config.options.get("in_chans", 3) != 3:
        raise PoiseError(
            f"backbone.options.in_chans={config.options['in_chans']}: images have 3 channels; "
            "leave it out"
        )
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", (1, 1))
    if patch[0] != patch[1]:
        raise PoiseError(
            f"backbone.options.patch_size={list(patch)}: patches must be square; give one number"
        )


def _family_arguments(config: BackboneConfig, image_px: int) -> dict[str, Any]:
    kind = family(config.name)
    if kind in ("vit", "eva"):
        registers = "reg_tokens" if kind == "vit" else "num_reg_tokens"
        return {
            "img_size": image_px,
            "dynamic_img_size": True,
            registers: config.num_registers,
            # As in the registers paper, registers have no position. timm would give them a
            # position.
            "no_embed_class": config.num_registers > 0,
        }
    if config.num_registers:
        raise PoiseError(
            f"backbone.num_registers={config.num_registers}: {config.name} has no tokens to "
            "add registers to; set it to 0"
        )
    if kind == "beit":
        return {"img_size": image_px}
    # As torchvision and the published runs do. timm would initialise residual branches with 0.
    return {"zero_init_last": False} if kind == "resnet" else {}
