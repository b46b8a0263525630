"""Checks that a published layout can express a backbone.

In: a backbone and its tensors. Out: nothing, or one error that names the property that would be
lost. Next: ``poise.models.published.export``.

Programs that read files of DINO or MAE assume a plain vision transformer or torchvision's residual
network. They read the sizes from the weights. Any other property, such as another activation, would
be lost. Then the features would be wrong without an error.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.config.wording import counted
from poise.models.drop_path import DropPath
from poise.models.published.resnet import read_resnet
from poise.models.published.shapes import Wishes
from poise.models.timm_models import family

_PLAIN = "vit_tiny_patch16_224"
_RESNET_PX = 64
_TOLERANCE = 1e-4  # of features, whose standard deviation is about 1: far above rounding

_KNOWN_OR_IDLE = (
    *("img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio"),  # by the weights
    *("num_classes", "dynamic_img_size", "weight_init", "fix_init", "zero_init_last"),
    *("drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate", "attn_drop_rate"),
    "drop_path_rate",
)


def check_fit(
    backbone: nn.Module, tensors: Mapping[str, Tensor], config: Mapping[str, Any], layout: str
) -> None:
    """Raises an error if a published layout cannot describe a backbone completely.

    Args:
        backbone: output of ``build_backbone``.
        tensors: tensors of the backbone, with timm's names.
        config: config of its package.
        layout: ``dino`` or ``mae``.

    Raises:
        PoiseError: the backbone differs from the published models. The message names the
            difference, and formats that can describe it.
    """
    described = BackboneConfig.model_validate(config["backbone"])
    why = _why_not(backbone, tensors, described, layout)
    if why:
        raise PoiseError(f"--format {layout}: {why}; export as timm or huggingface")


def difference_of(ours: Tensor, theirs: Tensor) -> float:
    """Computes the largest absolute difference between features.

    If the largest feature is above 1, the difference is divided by it, because float32 has 7
    digits.
    """
    return float((ours - theirs).abs().max() / ours.abs().max().clamp(min=1))


def _why_not(
    backbone: nn.Module, tensors: Mapping[str, Tensor], described: BackboneConfig, layout: str
) -> str | None:
    residual = family(described.name) == "resnet"
    if residual and layout != "dino":
        return f"its published models have no {_some(list(tensors))}"
    twin = _published_resnet(tensors) if residual else _published_vit(backbone, tensors)
    if twin is None:
        return f"{described.name} is not one of its published residual networks"
    known = twin.state_dict()
    if foreign := [name for name in tensors if name not in known]:
        return f"its published models have no {_some(foreign)}"
    if missing := [name for name in known if name not in tensors]:
        return f"its published models also have {_some(missing)}"
    for name, tensor in tensors.items():
        if tensor.shape != known[name].shape:
            return f"{name} is {list(tensor.shape)}, and published ones {list(known[name].shape)}"
    for key, value in described.options.items():
        if key not in _KNOWN_OR_IDLE and value not in _defaults(twin, key):
            return f"its files cannot say backbone.options.{key}={value}"
    if _parts(backbone.timm_model) != _parts(twin) or not _same_features(backbone, twin, tensors):
        return f"its published models compute other features from the weights of {described.name}"
    return None


def _published_vit(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Builds a plain vision transformer with a backbone's sizes."""
    import timm

    model: Any = backbone.timm_model
    hidden = tensors.get("blocks.0.mlp.fc1.weight")
    twin: nn.Module = timm.create_model(
        _PLAIN,
        img_size=model.patch_embed.img_size,
        patch_size=model.patch_embed.patch_size,
        embed_dim=model.embed_dim,
        depth=len(model.blocks),
        num_heads=model.blocks[0].attn.num_heads,
        mlp_ratio=4 if hidden is None else len(hidden) / model.embed_dim,
        num_classes=0,
    )
    return twin


def _published_resnet(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    import timm

    try:
        name = read_resnet(dict(tensors), Wishes()).backbone.name
    except PoiseError:
        return None
    twin: nn.Module = timm.create_model(name, num_classes=0)
    return twin


def _defaults(model: nn.Module, key: str) -> tuple[Any, ...]:
    """Lists the values of an option that equal the default, and so have no effect."""
    parameter = inspect.signature(type(model)).parameters.get(key)
    return () if parameter is None else (parameter.default,)


def _parts(model: Any) -> list[tuple[type, float | None]]:
    """Lists the types of all modules that compute something in evaluation mode."""
    from timm.layers import DropPath as TimmDropPath
    from timm.layers import PatchDropout

    idle = (nn.Identity, nn.Dropout, DropPath, TimmDropPath, PatchDropout)  # in evaluation mode
    return [
        (type(module), getattr(module, "eps", None))
        for module in model.modules()
        if not isinstance(module, idle)
    ]


@torch.no_grad()
def _same_features(backbone: nn.Module, twin: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    """Returns True if two models give the same features for random images."""
    patches: Any = getattr(twin, "patch_embed", None)
    size = (_RESNET_PX, _RESNET_PX) if patches is None else patches.img_size
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    twin.load_state_dict(dict(tensors))
    device, was_training = next(backbone.parameters()).device, backbone.training
    features: Tensor = backbone.eval()(images.to(device)).cpu()
    backbone.train(was_training)
    return difference_of(features, twin.eval()(images)) <= _TOLERANCE


def _some(names: list[str]) -> str:
    return f"{names[0]}{' and ' + counted(len(names) - 1, 'other') if len(names) > 1 else ''}"
