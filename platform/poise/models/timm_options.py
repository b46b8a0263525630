"""Checks the options that a recipe passes to timm.

In: a recipe's ``backbone.options``. Out: nothing, or one error. Next: ``poise.training.capacity``,
which checks a run before it begins.

These checks are necessary, because timm does not check its arguments. For example, the text ``no``
counts as true.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.config.wording import shown
from poise.models.timm_models import NORM_EPS, family

_UNTRAINED = "backbone.initial_weights starts a run from trained weights (`poise models import`)"
_DECIDED = {
    "img_size": "data.views.global_px decides the size of the images",
    "num_classes": "a backbone has no classifier",
    "drop_path_rate": "set backbone.drop_path, which only the student uses",
    "reg_tokens": "set backbone.num_registers",
    "num_reg_tokens": "set backbone.num_registers",
    "dynamic_img_size": "views have several sizes",
    "features_only": "features are the last block's",
    "out_indices": "features are the last block's",
    "pretrained": _UNTRAINED,
    "pretrained_cfg": _UNTRAINED,
    "pretrained_cfg_overlay": _UNTRAINED,
    "checkpoint_path": _UNTRAINED,
    "cache_dir": _UNTRAINED,
}
"""Maps each option that is not allowed to the reason. Other settings of a recipe decide these
options, or a run does not use them.
"""


def check_options(config: BackboneConfig) -> None:
    """Raises an error for options that are not allowed, and for values of the wrong type.

    Raises:
        PoiseError: an option is not allowed or has a wrong value; the message names the fix.
    """
    defaults = _defaults(config.name)
    for option, value in config.options.items():
        if option in _DECIDED:
            raise PoiseError(f"backbone.options.{option}: {_DECIDED[option]}; leave the option out")
        needed = _needed(defaults.get(option), value)
        if needed:
            raise PoiseError(f"backbone.options.{option}={shown(value)} must be {needed}")


def _defaults(name: str) -> Mapping[str, Any]:
    """Maps a timm model's arguments to their defaults; empty if the model cannot be a backbone."""
    from timm.models import Beit, Eva, ResNet, VisionTransformer

    classes: dict[str, type] = {
        "vit": VisionTransformer,
        "eva": Eva,
        "beit": Beit,
        "resnet": ResNet,
    }
    kind = classes.get(family(name))
    if kind is None:
        return {}
    arguments = inspect.signature(kind).parameters
    return {NORM_EPS: 1e-6} | {option: each.default for option, each in arguments.items()}


def _needed(default: Any, value: Any) -> str | None:
    """Describes the type of value that is required; None if the value has this type."""
    is_word = isinstance(value, bool)
    is_number = isinstance(value, int | float) and not is_word
    if isinstance(default, bool):
        return None if is_word else "true or false"
    if isinstance(default, float):
        return None if is_number and value >= 0 else "a number of at least 0"
    if isinstance(default, int):  # a size may also be a list: its height and width
        least = min(default, 1)
        is_whole = isinstance(value, int) and is_number and value >= least
        return (
            None if isinstance(value, list) or is_whole else f"a whole number of at least {least}"
        )
    return "text" if isinstance(default, str) and not isinstance(value, str) else None
