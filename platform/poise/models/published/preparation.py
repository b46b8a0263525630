"""Preparation of images for a published model: normalisation, size and interpolation.

In: a timm name, a ``pretrained_cfg``, or a preprocessor's config. Out: channel means and standard
deviations, side and interpolation, and their origin. Next: ``poise.models.published.loading``.

Published models differ: DINO and MAE use ImageNet's statistics, timm's augreg models use 0.5 for
all channels, and CLIP has its own statistics. With wrong statistics the features look healthy but
are wrong.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from poise.config.errors import PoiseError
from poise.models.published.shapes import Basis

_OPTIONS = "--mean and --std"
_RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_MOST_TAGS = 4  # in a message
_LEAST_STD = 1e-6


@dataclass(frozen=True)
class Preparation:
    """Normalisation, size and interpolation of the images that a model needs."""

    mean: tuple[float, ...]
    """Mean of each channel, for RGB values in [0, 1]."""

    std: tuple[float, ...]
    basis: Basis
    interpolation: str = "bicubic"
    evaluation_px: int | None = None
    """Side of the images in the published evaluation; None takes the side of the naming scheme
    (``Layout``) that fits the checkpoint.
    """


def imagenet(basis: Basis) -> Preparation:
    """Makes a preparation with ImageNet's means and standard deviations."""
    return Preparation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), basis)


UNKNOWN = imagenet(
    Basis("ImageNet's; the file does not say, and models differ: timm's augreg models use 0.5",
          _OPTIONS)
)  # fmt: skip
"""Preparation that is assumed if the file does not describe its preparation."""


def published(name: str) -> Preparation:
    """Makes a preparation with ImageNet's statistics, for files from the authors of ``name``."""
    return imagenet(Basis(f"as {name} was published"))


def from_timm(name: str) -> Preparation:
    """Reads the ``pretrained_cfg`` that timm has for a model.

    Args:
        name: timm's name, with or without a tag. Without a tag, timm's default tag is used. If
            other tags have other statistics, this is an assumption.

    Raises:
        PoiseError: timm has no such tag.
    """
    import timm

    base, _, tag = name.partition(".")
    tags = timm.list_pretrained(f"{base}.*")
    if tag and name not in tags:
        known = ", ".join(tags) or "none"
        raise PoiseError(f"--architecture {name}: timm has no such tag; it has {known}")
    default = timm.get_pretrained_cfg(name)
    if default is None:
        return UNKNOWN
    chosen = from_pretrained_cfg(default.to_dict(), f"timm's pretrained_cfg of {name}")
    others = [other for other in tags if not _agree(_of_tag(other), chosen)]
    if tag or not default.tag or not others:
        return chosen
    shown = ", ".join(others[:_MOST_TAGS]) + (", …" if len(others) > _MOST_TAGS else "")
    text = f"those of {base}.{default.tag}, timm's default; other statistics have {shown}"
    return replace(chosen, basis=Basis(text, f"--architecture {base}.TAG, or {_OPTIONS}"))


def _of_tag(name: str) -> Preparation:
    import timm

    config = timm.get_pretrained_cfg(name)
    assert config is not None  # the name comes from timm's own list
    return from_pretrained_cfg(config.to_dict(), "")


def from_pretrained_cfg(config: Mapping[str, Any], source: str) -> Preparation:
    """Reads a ``pretrained_cfg`` of timm.

    Raises:
        LookupError, TypeError or ValueError: statistics are missing, or are not those of RGB values
            in [0, 1].
    """
    mean, std = statistics(config["mean"], config["std"])
    side = int(config["input_size"][-1])
    interpolation = str(config.get("interpolation") or "bicubic")
    return Preparation(mean, std, Basis(source), interpolation, side)


def from_preprocessor(config: Mapping[str, Any], source: str) -> Preparation:
    """Reads the ``preprocessor_config.json`` of a Hugging Face folder.

    A preprocessor may use values from 0 to 255, or scale values by another factor, or leave the
    normalisation out. The result has the equivalent statistics for RGB values in [0, 1].

    Raises:
        LookupError, TypeError or ValueError: statistics are missing or cannot be those of images.
    """
    largest = 255 * float(config.get("rescale_factor", 1 / 255))
    largest = largest if config.get("do_rescale", True) else 255.0
    named = ("image_mean", "image_std") if config.get("do_normalize", True) else None
    found = ([0, 0, 0], [1, 1, 1]) if named is None else [config[name] for name in named]
    mean, std = statistics(found[0], found[1], largest)
    size = config.get("crop_size") if config.get("do_center_crop") else None
    side = _side(size or config.get("size"))
    resampling = config.get("resample", 3)
    return Preparation(mean, std, Basis(source), _RESAMPLING.get(resampling, str(resampling)), side)


def given(
    preparation: Preparation, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Preparation:
    """Replaces mean and standard deviation by the user's values.

    Raises:
        PoiseError: only one of mean and std is given, or the values are not for RGB values in [0,
            1].
    """
    if mean is None and std is None:
        return preparation
    if mean is None or std is None:
        have, lack = ("--mean", "--std") if std is None else ("--std", "--mean")
        raise PoiseError(f"{have} is given without {lack}; give both")
    for option, values, low in (("--mean", mean, 0.0), ("--std", std, _LEAST_STD)):
        if not all(math.isfinite(value) and low <= value <= 1 for value in values):
            written = " ".join(f"{value:g}" for value in values)
            raise PoiseError(
                f"{option} {written}: needs values {'above' if low else 'from'} 0 to 1, of RGB "
                "values in [0, 1]; divide statistics of values up to 255 by 255"
            )
    return replace(
        preparation, mean=tuple(mean), std=tuple(std), basis=Basis("given with --mean and --std")
    )


def _agree(one: Preparation, other: Preparation) -> bool:
    return (one.mean, one.std) == (other.mean, other.std)


def statistics(
    mean: Sequence[Any], std: Sequence[Any], largest: float = 1.0
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Checks means and standard deviations of channels, and converts both to RGB values in [0, 1].

    Args:
        mean: three means.
        std: three standard deviations.
        largest: largest possible value of a channel, such as 1 or 255.

    Returns:
        Means and standard deviations, for RGB values in [0, 1].

    Raises:
        TypeError or ValueError: the values are not numbers, or cannot be statistics of images.
    """
    if not 0 < largest < math.inf:
        raise ValueError(f"values of images cannot end at {largest:g}")
    means, stds = ([float(value) / largest for value in each] for each in (mean, std))
    if not len(means) == len(stds) == 3:
        raise ValueError(f"needs three means and standard deviations, not {mean} and {std}")
    if not all(0 <= value <= 1 for value in means):  # NaN is no such number either
        raise ValueError(f"means {mean} are not from 0 to {largest:g}")
    if not all(_LEAST_STD <= value < math.inf for value in stds):
        raise ValueError(f"standard deviations {std} are not above 0")
    return tuple(means), tuple(stds)


def _side(size: Any) -> int | None:
    if isinstance(size, Mapping):
        size = size.get("shortest_edge") or size.get("height")
    if isinstance(size, Sequence) and not isinstance(size, str) and size:
        size = size[0]
    return int(size) if size else None
