"""timm models made as recipes and packages describe them.

In: a ``BackboneConfig`` and the side of its images. Out: the arguments that timm takes for it, and
the model. Next: ``poise.models.backbone``.
"""

from typing import Any, Literal

from torch import nn

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig

Family = Literal["vit", "eva", "beit", "resnet", "other"]

_FAMILIES: dict[str, Family] = {
    "vision_transformer": "vit",
    "vision_transformer_hybrid": "vit",
    "deit": "vit",
    "eva": "eva",
    "beit": "beit",
    "resnet": "resnet",
}  # by timm's module

_CLS_STD = 0.02  # of the published [cls] token; timm's own is 1e-6


def family(name: str) -> Family:
    """Which kind of model a timm name is.

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
    """What ``timm.create_model(config.name, …)`` is given: plain values, without randomness.

    Raises:
        PoiseError: timm has no such model, or it has no tokens to add registers to.
    """
    return {"num_classes": 0, **_family_arguments(config, image_px), **config.options}


def create_timm(config: BackboneConfig, image_px: int, drop_path: float) -> nn.Module:
    """The bare timm model, randomly initialised.

    Raises:
        PoiseError: timm has no such model, or it does not take these options.
    """
    import timm
    from timm.models import VisionTransformer

    arguments = {"drop_path_rate": drop_path, **timm_arguments(config, image_px)}
    try:
        model: nn.Module = timm.create_model(config.name, **arguments)
    except (TypeError, ValueError, AssertionError) as error:
        raise PoiseError(
            f"backbone.options={config.options}: timm's {config.name} does not take them: {error}"
        ) from None
    if isinstance(model, VisionTransformer) and model.cls_token is not None:
        nn.init.trunc_normal_(model.cls_token, std=_CLS_STD)
    return model


def _family_arguments(config: BackboneConfig, image_px: int) -> dict[str, Any]:
    kind = family(config.name)
    if kind in ("vit", "eva"):
        registers = "reg_tokens" if kind == "vit" else "num_reg_tokens"
        return {
            "img_size": image_px,
            "dynamic_img_size": True,
            registers: config.num_registers,
            # As in the registers paper, registers have no position; timm would give them one.
            "no_embed_class": config.num_registers > 0,
        }
    if config.num_registers:
        raise PoiseError(
            f"backbone.num_registers={config.num_registers}: {config.name} has no tokens to "
            "add registers to; set it to 0"
        )
    if kind == "beit":
        return {"img_size": image_px}
    # As torchvision does and the published runs did; timm would start residual branches at 0.
    return {"zero_init_last": False} if kind == "resnet" else {}
