"""Finds the mean and standard deviation by which views are normalised.

In: the setting of a recipe, and the manifest of its dataset. Out: mean and standard deviation of
each channel, or an error with the reason. Next: ``poise.data.views.color_augmentation`` normalises
the views. This module does not import PyTorch, so a recipe can be checked before PyTorch is loaded.
"""

import math

from poise.config.errors import PoiseError
from poise.config.views import MIN_STD, Channels, ViewsConfig
from poise.data.manifest import Manifest

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_CHANNELS = ("red", "green", "blue")


def normalization(config: ViewsConfig, manifest: Manifest) -> tuple[Channels, Channels]:
    """Returns the mean and standard deviation of each channel, for values in [0, 1].

    Raises:
        PoiseError: the recipe uses the dataset's values, and a channel of the dataset is constant.
    """
    if isinstance(config.normalization, tuple):
        return config.normalization
    if config.normalization == "imagenet":
        return IMAGENET_MEAN, IMAGENET_STD
    mean, std = manifest.channel_mean, manifest.channel_std
    for name, center, deviation in zip(_CHANNELS, mean, std, strict=True):
        if not (math.isfinite(center) and math.isfinite(deviation) and deviation >= MIN_STD):
            raise PoiseError(
                f"data.views.normalization=dataset: the {name} channel of dataset "
                f"{manifest.name!r} does not vary (standard deviation {deviation:.2g}), so values "
                "cannot be divided by it; give data.views.normalization=imagenet"
            )
    return mean, std
