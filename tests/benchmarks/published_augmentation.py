"""DINO's published augmentation, transcribed from its description, on Pillow with torchvision.

The yardstick of ``bench_views``, and what settles which statistics the recordings of the parity
test hold. It draws from torch's and Python's own generators, as the published one does.
"""

import random
from collections.abc import Callable

from PIL import Image, ImageFilter, ImageOps
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import InterpolationMode

Augmentation = Callable[[Image.Image], Tensor]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Blur:
    """Pillow's Gaussian blur, with a chance and a radius between 0.1 and 2 pixels."""

    def __init__(self, probability: float) -> None:
        self._probability = probability

    def __call__(self, image: Image.Image) -> Image.Image:
        if random.random() > self._probability:
            return image
        return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))


class Solarize:
    """Pillow's solarize, with a chance."""

    def __init__(self, probability: float) -> None:
        self._probability = probability

    def __call__(self, image: Image.Image) -> Image.Image:
        return ImageOps.solarize(image) if random.random() < self._probability else image


def published_views(
    normalize: bool = True,
) -> tuple[Augmentation, Augmentation, Augmentation]:
    """How the first global, the second global and a local view are made from an image."""
    jitter = transforms.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
    colours = [
        transforms.RandomHorizontalFlip(p=0.5),
        transforms.RandomApply([jitter], p=0.8),
        transforms.RandomGrayscale(p=0.2),
    ]
    ending = [transforms.ToTensor()] + [transforms.Normalize(_MEAN, _STD)] * normalize

    def kind(px: int, scale: tuple[float, float], *own: object) -> Augmentation:
        crop = transforms.RandomResizedCrop(px, scale, interpolation=InterpolationMode.BICUBIC)
        composed: Augmentation = transforms.Compose([crop, *colours, *own, *ending])
        return composed

    return (
        kind(224, (0.4, 1.0), Blur(1.0)),
        kind(224, (0.4, 1.0), Blur(0.1), Solarize(0.2)),
        kind(96, (0.05, 0.4), Blur(0.5)),
    )
