"""Checks the options that a recipe passes to timm.

In: a recipe's ``backbone.options``. Out: nothing, or one error. Next: ``poise.training.capacity``,
which checks a run before it begins.

timm treats its arguments as Python does: the text ``no`` counts as true. If an option comes from
two places, the later value is used.
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
"""Options that other settings of a recipe decide, or that would make a different kind of run; with
the reason.
"""


def check_options(config: BackboneConfig) -> None:
    """Refuses options that other settings of the recipe decide, and values of the wrong kind.

    Raises:
        PoiseError: the message names the option, its value and what to do.
    """
    defaults = _defaults(config.name)
    for option, value in config.options.items():
        if option in _DECIDED:
            raise PoiseError(f"backbone.options.{option}: {_DECIDED[option]}; leave the option out")
        needed = _needed(defaults.get(option), value)
        if needed:
            raise PoiseError(f"backbone.options.{option}={shown(value)} must be {needed}")


def _defaults(name: str) -> Mapping[str, Any]:
    """Returns the defaults of a timm model's arguments; empty if it cannot be a backbone."""
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
    """Describes the kind of value that is needed; None if the value has this kind."""
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
