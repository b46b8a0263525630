"""Checks that a trained backbone and the recipe's backbone are the same architecture.

In: the descriptions of both backbones. Out: nothing, or an error that names the first difference
and the settings that make the architectures equal. Next: ``poise.runs.initial_weights``, before a
run begins.

Both backbones are built on the device ``meta``, where weights have shapes but no values.
"""

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone, norms_after_pooling
from poise.models.initial_weights import adaptations, layout_of, resampling_of
from poise.models.relative import BeitBackbone

_DECIDED_BY_OTHERS = ("img_size", "no_embed_class")
"""Options of a package that may differ from the recipe, because position embeddings are adapted."""


@dataclass(frozen=True)
class Described:
    """Description of a backbone in a package or in a recipe."""

    config: BackboneConfig
    image_px: int
    """Side in pixels of the images that the position embeddings are made for."""

    called: str
    """Name of the backbone in messages: a model's reference, or ``the recipe``."""

    other_px: tuple[int, ...] = ()
    """Sides in pixels of all other images that it reads, such as local views."""

    def build_without_values(self) -> nn.Module:
        """Builds the backbone on the device ``meta``. Its weights have shapes but no values."""
        with torch.device("meta"):
            return build_backbone(self.config, self.image_px, drop_path=0)


def check_same_architecture(source: Described, recipe: Described) -> tuple[str, ...]:
    """Raises an error if the recipe's backbone cannot start from the trained backbone's weights.

    Args:
        source: description of the trained backbone.
        recipe: description of the recipe's backbone.

    Returns:
        Phrases about everything that will be adapted or added.

    Raises:
        PoiseError: the architectures differ. The message names both values of the first difference,
            and the settings of the trained backbone.
    """
    trained, new = source.build_without_values(), recipe.build_without_values()
    difference = next(_differences(trained, new), None)
    if difference is not None:
        what, there, here = difference
        raise PoiseError(
            f"backbone.initial_weights={source.called}: {what} is {there} there and {here} in the "
            f"recipe; take over its architecture with {_settings(source, recipe)}"
        )
    _check_tokens(trained, new, source)
    _check_resampling(trained, new, source, recipe)
    return tuple(adaptations(trained, new))


def _differences(trained: nn.Module, new: nn.Module) -> Iterator[tuple[str, str, str]]:
    """Yields each property that differs: its name, its trained value and its new value."""
    for what, read in _FACTS.items():
        there, here = read(trained), read(new)
        if there != here:
            yield what, str(there), str(here)
    # All other properties in the description of a layer, such as its type, epsilon and bias.
    for there, here in zip(_layers(trained), _layers(new), strict=False):
        if there != here:
            yield "a layer", there, here


def _model(backbone: nn.Module) -> Any:
    return backbone.timm_model


def _first_block(backbone: nn.Module) -> Any:
    blocks = getattr(_model(backbone), "blocks", None)
    return blocks[0] if blocks is not None else None


def _of_block(*path: str) -> Callable[[nn.Module], Any]:
    """Returns a function that reads an attribute of a backbone's first block.

    The function returns None if the backbone has no such attribute.
    """

    def read(backbone: nn.Module) -> Any:
        found = _first_block(backbone)
        for name in path:
            found = getattr(found, name, None)
        return found

    return read


def _patch_px(backbone: nn.Module) -> str:
    return f"{backbone.patch_px} px"


def _layer_scale(backbone: nn.Module) -> str:
    scaled = isinstance(getattr(_first_block(backbone), "ls1", None), nn.Module) and any(
        True for _ in _first_block(backbone).ls1.parameters()
    )
    scaled = scaled or getattr(_first_block(backbone), "gamma_1", None) is not None
    return "present (init_values)" if scaled else "absent"


def _pooling(backbone: nn.Module) -> str:
    if norms_after_pooling(backbone):
        return "the norm of the mean patch (fc_norm)"
    return str(getattr(_model(backbone), "global_pool", "average"))


def _class_token(backbone: nn.Module) -> str:
    return _presence(backbone, "cls_token")


def _positions(backbone: nn.Module) -> str:
    return _presence(backbone, "pos_embed")


def _presence(backbone: nn.Module, part: str) -> str:
    return "absent" if getattr(_model(backbone), part, None) is None else "present"


_FACTS: dict[str, Callable[[nn.Module], Any]] = {
    "the family": lambda backbone: type(_model(backbone)).__name__,
    "the width (embed_dim)": lambda backbone: backbone.feature_dim,
    "the number of blocks (depth)": lambda backbone: len(getattr(_model(backbone), "blocks", ())),
    "the number of attention heads (num_heads)": _of_block("attn", "num_heads"),
    "the patch size": _patch_px,
    "LayerScale": _layer_scale,
    "the epsilon of the norms (norm_eps)": _of_block("norm1", "eps"),
    "the width within the MLP (mlp_ratio)": _of_block("mlp", "fc1", "out_features"),
    "[cls]": _class_token,
    "the position embedding": _positions,
    "the pooling (global_pool)": _pooling,
}
"""Maps the name of each compared property, as in messages, to a function that reads the property.
"""


def _layers(backbone: nn.Module) -> list[str]:
    """Describes every layer without submodules, except dropout, in one line each."""
    return [
        f"{name}: {module!r}"
        for name, module in _model(backbone).named_modules()
        if not list(module.children()) and not isinstance(module, nn.Dropout)
    ]


def _check_tokens(trained: nn.Module, new: nn.Module, source: Described) -> None:
    """Raises an error if registers would be lost, or if positions cannot be resized as needed."""
    there, here = layout_of(trained), layout_of(new)
    if there is None or here is None:
        return
    what = f"backbone.initial_weights={source.called}"
    if there.num_registers > here.num_registers:
        raise PoiseError(
            f"{what}: has {there.num_registers} registers and the recipe {here.num_registers}; "
            "its other tokens rely on all of them, so set "
            f"backbone.num_registers={there.num_registers}"
        )
    if isinstance(trained, BeitBackbone) and there.grid != here.grid:
        raise PoiseError(
            f"{what}: its relative positions are for {source.image_px} px alone; set "
            f"data.views.global_px={source.image_px} and data.views.local_count=0"
        )


def _check_resampling(
    trained: nn.Module, new: nn.Module, source: Described, recipe: Described
) -> None:
    """Raises an error if positions would be resampled in another way than for the trained model."""
    there, here = resampling_of(trained), resampling_of(new)
    sizes = sorted({source.image_px, recipe.image_px, *recipe.other_px})
    has_positions = getattr(_model(trained), "pos_embed", None) is not None
    if has_positions and there != here and len(sizes) > 1:
        raise PoiseError(
            f"backbone.initial_weights={source.called}: resamples positions as {there} does, and "
            f"the recipe as {here} does, so images of {', '.join(map(str, sizes))} px would have "
            f"other features; set backbone.position_resampling={there}"
        )


def _settings(source: Described, recipe: Described) -> str:
    """Returns the settings that give a recipe the architecture of a trained backbone."""
    options = {k: v for k, v in source.config.options.items() if k not in _DECIDED_BY_OTHERS}
    registers = max(source.config.num_registers, recipe.config.num_registers)
    values = {
        "backbone.name": source.config.name,
        "backbone.options": json.dumps(options),
        "backbone.num_registers": registers,
    }
    words = [shlex.quote(f"{key}={value}") for key, value in values.items()]
    return " ".join(words)
