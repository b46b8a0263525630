"""Describes a package's backbone so that timm alone can build it.

In: the config of a package. Out: timm's name and arguments, and the preparation of images. Next:
``poise.models.published.timm_folder`` and ``poise.tracking.registry.flavor``, which export
backbones for use without Poise.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from poise.config.errors import PoiseError, one_line
from poise.config.recipe import BackboneConfig
from poise.config.views import read_means_and_stds
from poise.models.test_time_registers import CONFIG_KEY
from poise.models.timm_models import NORM_EPS, family, timm_arguments

FIXED_SIZE = ("beit",)
"""Families of models with positions that cannot be resized."""


def describe_in_timm(config: Mapping[str, Any]) -> dict[str, Any]:
    """Describes a backbone with timm's name and arguments, as plain values for JSON.

    Args:
        config: config of a package.

    Returns:
        ``architecture`` and ``model_args`` for ``timm.create_model``; ``norm_eps`` of every
        LayerNorm, or None for timm's own; ``position_resampling``; ``image_px``, the side of
        evaluated images in pixels; ``mean`` and ``std``.

    Raises:
        PoiseError: the backbone has an added register, which timm does not support, or the config
            has no normalization.
    """
    if CONFIG_KEY in config:
        raise PoiseError(
            "its added register is no part of timm's models; take the package that the register "
            "was added to"
        )
    normalization = normalization_of(config)
    try:
        described = BackboneConfig.model_validate(config["backbone"])
        arguments = timm_arguments(described, config["image_px"])
    except (KeyError, ValidationError) as error:
        raise PoiseError(f"its config describes no backbone: {one_line(error)}") from None
    return {
        "architecture": described.name,
        "norm_eps": arguments.pop(NORM_EPS, None),
        "model_args": arguments,
        "position_resampling": described.position_resampling,
        "image_px": prepared_px(config),
        "mean": list(normalization["mean"]),
        "std": list(normalization["std"]),
    }


def prepared_px(config: Mapping[str, Any]) -> int:
    """Returns the side of the images for evaluation, in pixels.

    A backbone with position embeddings of a fixed size (BEiT) allows only its training size.
    """
    is_fixed = family(config["backbone"]["name"]) in FIXED_SIZE
    px: int = config["image_px"] if is_fixed else config.get("evaluation_px") or config["image_px"]
    return px


def normalization_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns channel means and standard deviations as ``mean`` and ``std``.

    Raises:
        PoiseError: the config has no normalization, or its values are not usable numbers.
    """
    found = config.get("normalization")
    if not isinstance(found, Mapping) or not {"mean", "std"} <= set(found):
        raise PoiseError("the model's config has no normalization, so images cannot be prepared")
    if read_means_and_stds([found["mean"], found["std"]]) is None:
        raise PoiseError(
            f"the model's config has the normalization {dict(found)}, so images cannot be prepared"
        )
    return found
