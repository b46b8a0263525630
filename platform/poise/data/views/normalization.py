"""The mean and the standard deviation that views are normalised by.

In: what a recipe asks for, and the manifest of its dataset. Out: two numbers for each channel, or
the reason why there are none. Next: ``poise.data.views.photometry`` normalises the views. Nothing
here needs PyTorch, so that a recipe is checked before that is loaded.
"""

import math

from poise.config.errors import PoiseError
from poise.config.views import MIN_STD, Channels, ViewsConfig
from poise.data.manifest import Manifest

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_CHANNELS = ("red", "green", "blue")


def normalization(config: ViewsConfig, manifest: Manifest) -> tuple[Channels, Channels]:
    """Mean and standard deviation of each channel, of values in [0, 1], that a recipe asks for.

    Raises:
        PoiseError: they are the dataset's, and a channel of it does not vary.
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
