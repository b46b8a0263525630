"""Layout of residual networks, with the names of torchvision, DINO and timm.

In: tensors with these names. Out: a ``Reading`` (architecture and weights). Next:
``poise.models.published.layouts``.
"""

import re

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.published.preparation import from_timm
from poise.models.published.shapes import Wishes
from poise.models.published.translation import Reading, Tensors

_NAMES: dict[tuple[tuple[int, ...], bool], str] = {
    ((2, 2, 2, 2), False): "resnet18",
    ((3, 4, 6, 3), False): "resnet34",
    ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101",
    ((3, 8, 36, 3), True): "resnet152",
}  # by blocks per stage, and whether they are bottlenecks
_PX = 224


def read_resnet(tensors: Tensors, wishes: Wishes) -> Reading:
    """Reads a residual network of a published depth. Its weights fit images of any size.

    Raises:
        PoiseError: no published network has these stages, or ``wishes`` contains facts about a
            transformer.
    """
    for option, value in (
        ("--heads", wishes.num_heads),
        ("--depth", wishes.depth),
        ("--grid", wishes.grid),
        ("--norm-eps", wishes.norm_eps),
    ):
        if value is not None:
            raise PoiseError(f"{option}: has no effect on a residual network; leave it out")
    blocks = [set[str](), set[str](), set[str](), set[str]()]
    for name in tensors:
        if match := re.match(r"layer([1-4])\.(\d+)\.", name):
            blocks[int(match.group(1)) - 1].add(match.group(2))
    counts = tuple(map(len, blocks))
    found = _NAMES.get((counts, "layer1.0.conv3.weight" in tensors))
    if found is None:
        raise PoiseError(f"stages of {counts} blocks: no published residual network has them")
    config = BackboneConfig(name=found, drop_path=0)
    return Reading(config, _PX, tensors, _PX, preparation=from_timm(found))
