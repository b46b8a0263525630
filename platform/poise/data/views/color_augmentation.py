"""Changes the colours of views, for the whole batch at once and on the batch's device.

In: uint8 views, and the parameters that were drawn for each view. Out: normalised float32 views.
Next: the objective.

The first changes are those of torchvision's ``ColorJitter``: four changes in an order that is drawn
for each view, with clamping after each change. Then grayscale, Pillow's Gaussian blur, solarize and
normalisation follow.

Each view has its own parameters, but there is no Python loop over views. Brightness, contrast,
saturation and grayscale all have the same form ``f·x + (1 − f)·(s·gray + c·mean)``, called a blend,
with coefficients for each view. Up to three blends come before the hue and three after it. The CPU
reads no value back from the device.
"""

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.config.views import ViewsConfig
from poise.data.batch import PHOTOMETRY_COLUMNS
from poise.data.views.blur import blur, box_reach

DRAWS_PER_PHOTOMETRY = 10

_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)
_ORDERS = np.array(list(permutations(range(4))))  # [24, 4]: the first change, the second, …
_SLOTS = 3  # blends before the hue, and as many after it
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's "L"
_CPU_ELEMENTS = 2**17  # number of values processed at once, so that a core's cache holds them
_GPU_ELEMENTS = 2**27


def draw_parameters(
    uniform: NDArray[np.float64],
    config: ViewsConfig,
    blur_probability: NDArray[np.float64],
    solarize_probability: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Converts uniform numbers to photometric parameters.

    Args:
        uniform: ``[V, B, DRAWS_PER_PHOTOMETRY]`` in [0, 1).
        config: strengths and probabilities of the changes.
        blur_probability: probability of blur for each view, ``[V, 1]``.
        solarize_probability: probability of solarization for each view, ``[V, 1]``.

    Returns:
        ``[V, B, P]`` with the columns of ``PHOTOMETRY_COLUMNS``.
    """
    chance, *strengths, order, gray, blurred, radius, solarized = np.moveaxis(uniform, -1, 0)
    jittered = chance < config.jitter_probability
    limits = (config.brightness, config.contrast, config.saturation)
    factors = [
        np.where(jittered, 1 + limit * (2 * drawn - 1), 1.0)
        for limit, drawn in zip(limits, strengths[:3], strict=True)
    ]
    low, high = config.blur_radius_px
    columns = {
        **dict(zip(PHOTOMETRY_COLUMNS, factors, strict=False)),
        "hue": np.where(jittered, config.hue * (2 * strengths[3] - 1), 0.0),
        "jitter_order": np.where(jittered, np.floor(order * len(_ORDERS)), -1.0),
        "grayscale": gray < config.grayscale_probability,
        "blur_radius": np.where(blurred < blur_probability, low + radius * (high - low), 0.0),
        "solarize": solarized < solarize_probability,
    }
    return np.stack([columns[name] for name in PHOTOMETRY_COLUMNS], axis=-1).astype(np.float32)


class Photometry:
    """Applies photometric parameters to views and normalises them."""

    def __init__(
        self,
        config: ViewsConfig,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        """Stores the settings.

        Args:
            config: strengths and probabilities of the changes.
            mean: mean of each channel, for values in [0, 1].
            std: standard deviation of each channel, above 0.
        """
        self._mean, self._std = mean, std
        self._changes_colors = config.changes_colors
        self._threshold = config.solarize_threshold / 255
        self._box_reach = box_reach(config.blur_radius_px[1])
        self._placement = torch.from_numpy(_placement())

    @torch.no_grad()
    def __call__(self, views: Tensor, parameters: Tensor) -> Tensor:
        """Changes the colours of views and normalises them.

        Args:
            views: uint8 ``[V, B, 3, H, W]``.
            parameters: float32 ``[V, B, P]`` on the same device, columns ``PHOTOMETRY_COLUMNS``.

        Returns:
            float32 ``[V, B, 3, H, W]``, contiguous.
        """
        if not self._changes_colors:  # this check needs no value from the device
            return self._normalize(_unit(views))
        out = torch.empty(views.shape, dtype=torch.float32, device=views.device)
        flat_views, flat_parameters = views.flatten(0, 1), parameters.flatten(0, 1)
        flat_out = out.flatten(0, 1)
        self._placement = self._placement.to(views.device)
        with torch.autocast(views.device.type, enabled=False):  # bf16 would round colours
            for part in _parts(flat_views, flat_parameters):
                flat_out[part] = self._apply(flat_views[part], flat_parameters[part])
        return out

    def _apply(self, views: Tensor, parameters: Tensor) -> Tensor:
        """Changes and normalises some views: uint8 [N, 3, H, W] to float32."""
        column = dict(zip(PHOTOMETRY_COLUMNS, parameters.unbind(1), strict=True))
        images = self._jitter(_unit(views), parameters, column)
        images = blend(images, 1 - column["grayscale"], column["grayscale"], None)
        if not _idle(column["blur_radius"]):
            images = blur(images, column["blur_radius"], self._box_reach)
        # The published views are uint8. In flat regions this rounding is most of the texture.
        images = images.mul_(255).round_().div_(255)
        images = solarize(images, column["solarize"], self._threshold)
        return self._normalize(images)

    def colors(self, images: Tensor) -> Tensor:
        """Undoes the normalisation of views [..., 3, H, W], to show them: uint8, same shape."""
        mean, std = images.new_tensor([self._mean, self._std]).view(2, 3, 1, 1)
        colors: Tensor = (images * std + mean).clamp(0, 1).mul(255).round().to(torch.uint8)
        return colors

    def _normalize(self, images: Tensor) -> Tensor:
        """Normalises values in [0, 1] of shape [..., 3, H, W], in place."""
        mean, std = images.new_tensor([self._mean, self._std]).view(2, 3, 1, 1)
        return images.sub_(mean).div_(std)

    def _jitter(self, images: Tensor, parameters: Tensor, column: dict[str, Tensor]) -> Tensor:
        factors, saturation, contrast = self._coefficients(parameters)
        for slot in range(_SLOTS):
            images = blend(images, factors[slot], saturation[slot], contrast[slot])
        images = shift_hue(images, column["hue"])
        for slot in range(_SLOTS, 2 * _SLOTS):
            images = blend(images, factors[slot], saturation[slot], contrast[slot])
        return images

    def _coefficients(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Computes each blend's factors [slot, N] of an image, its gray and its mean gray."""
        order = parameters[:, PHOTOMETRY_COLUMNS.index("jitter_order")].long()
        present = self._placement[order]  # [N, slot, change]; order -1 is the last row, all zero
        change = present * (parameters[:, None, :_HUE] - 1)  # f − 1, or 0 without the change
        factor = 1 + change.sum(-1)
        return factor.T, -change[..., _SATURATION].T, -change[..., _CONTRAST].T


def _unit(views: Tensor) -> Tensor:
    """Converts uint8 views to contiguous float32 in [0, 1]."""
    return views.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def blend(images: Tensor, factor: Tensor, gray: Tensor, mean: Tensor | None) -> Tensor:
    """Computes ``factor·x + gray·luma(x) + mean·average luma(x)``, clamped and in place.

    The coefficients have the shape [N].
    """
    if _idle(factor - 1, gray, mean):
        return images
    red, green, blue = images.unbind(1)
    luma = (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
    average = luma.mean((1, 2)) * mean if mean is not None else None
    luma.mul_(gray[:, None, None])
    if average is not None:
        luma.add_(average[:, None, None])
    return images.mul_(factor[:, None, None, None]).add_(luma[:, None]).clamp_(0, 1)


def shift_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Shifts the hue of [N, 3, H, W] in [0, 1] by ``turns`` [N].

    HSV value and chroma stay the same.
    """
    if _idle(turns):
        return images
    value, chroma, sextant = _hue_of(images)
    sextant = sextant + 6 * turns[:, None, None]
    # A channel is the value minus the chroma times a trapezoid of the hue, shifted per channel.
    offset = images.new_tensor([3.0, 1.0, 5.0])[:, None, None]
    distance = sextant[:, None] + offset
    distance.sub_((distance / 6).round_(), alpha=6).abs_()
    share = distance.neg_().add_(2).clamp_(0, 1)
    return torch.addcmul(value[:, None], share, chroma[:, None], value=-1)


def _hue_of(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Computes HSV value, chroma and hue, each [N, H, W]. Hue counts sixths of a turn from red."""
    red, green, blue = images.unbind(1)
    value = images.amax(1)
    chroma = value - images.amin(1)
    from_green = (blue - red).add_(2 * chroma)
    from_blue = (red - green).add_(4 * chroma)
    sextant = torch.where(value == green, from_green, from_blue)
    sextant = torch.where(value == red, green - blue, sextant)
    return value, chroma, sextant.div_(chroma.clamp(min=1e-6))


def solarize(images: Tensor, chosen: Tensor, threshold: float) -> Tensor:
    """Inverts values of at least ``threshold`` in the images for which ``chosen`` [N] is 1."""
    if _idle(chosen):
        return images
    inverted = (images >= threshold) & (chosen[:, None, None, None] > 0)
    return torch.where(inverted, 1 - images, images)


def _idle(*coefficients: Tensor | None) -> bool:
    """Returns True if all coefficients are 0, so that changing the views with them has no effect.

    On a GPU it returns False, because the check would wait for the GPU.
    """
    return all(
        each is None or (each.device.type == "cpu" and not bool(each.any()))
        for each in coefficients
    )


def _parts(views: Tensor, parameters: Tensor) -> Iterator[Tensor | slice]:
    """Yields the indices of views that are processed together.

    On the CPU, views with similar parameters are processed together. So a change often has no
    effect on any view of a part, and can be skipped.
    """
    elements = views[0].numel() if len(views) else 1
    if views.device.type != "cpu":
        size = max(1, _GPU_ELEMENTS // elements)
        yield from (slice(start, start + size) for start in range(0, len(views), size))
        return
    keys = [PHOTOMETRY_COLUMNS.index(name) for name in ("blur_radius", "jitter_order")]
    blurred, order = parameters[:, keys].T
    likeness = torch.argsort(2 * order + (blurred > 0))
    yield from torch.split(likeness, max(1, _CPU_ELEMENTS // elements))


def _placement() -> NDArray[np.float32]:
    """Makes a table [25, slot, change] that is 1 where an order of changes has a change in a slot.

    Rows 0 to 23 stand for the orders of the four changes (brightness, contrast, saturation, hue).
    The last row is 0 and stands for no jitter.
    """
    placement = np.zeros((len(_ORDERS) + 1, 2 * _SLOTS, _HUE), dtype=np.float32)
    for number, order in enumerate(_ORDERS.tolist()):
        hue_at = order.index(_HUE)
        for position, change in enumerate(order):
            if change != _HUE:
                slot = position if position < hue_at else _SLOTS + position - hue_at - 1
                placement[number, slot, change] = 1
    return placement
