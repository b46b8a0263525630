"""Preparation of images for a published model.

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


@dataclass(frozen=True)
class Preparation:
    """Statistics and size of the images that a model was trained on."""

    mean: tuple[float, ...]
    """Mean of each channel of RGB values in [0, 1]."""

    std: tuple[float, ...]
    basis: Basis
    interpolation: str = "bicubic"
    evaluation_px: int | None = None
    """Side of the images in the published evaluation; None means that the layout decides."""


def imagenet(basis: Basis) -> Preparation:
    """Makes a preparation with ImageNet's means and standard deviations."""
    return Preparation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), basis)


UNKNOWN = imagenet(
    Basis("ImageNet's; the file does not say, and models differ: timm's augreg models use 0.5",
          _OPTIONS)
)  # fmt: skip
"""Preparation that is assumed if a file does not contain one."""


def published(name: str) -> Preparation:
    """Makes a preparation with ImageNet's statistics for files that ``name`` itself published."""
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
        LookupError, TypeError or ValueError: statistics are missing or are not numbers.
    """
    mean, std = _numbers(config["mean"]), _numbers(config["std"])
    side = int(config["input_size"][-1])
    interpolation = str(config.get("interpolation") or "bicubic")
    return Preparation(mean, std, Basis(source), interpolation, side)


def from_preprocessor(config: Mapping[str, Any], source: str) -> Preparation:
    """Reads the ``preprocessor_config.json`` of a Hugging Face folder.

    Raises:
        LookupError, TypeError or ValueError: statistics are missing or are not numbers.
    """
    mean, std = _numbers(config["image_mean"]), _numbers(config["image_std"])
    size = config.get("crop_size") if config.get("do_center_crop") else None
    side = _side(size or config.get("size"))
    resampling = config.get("resample", 3)
    return Preparation(mean, std, Basis(source), _RESAMPLING.get(resampling, str(resampling)), side)


def given(
    preparation: Preparation, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Preparation:
    """Replaces the statistics by those that the user gives.

    Raises:
        PoiseError: only one of the two is given, or they are not for values in [0, 1].
    """
    if mean is None and std is None:
        return preparation
    if mean is None or std is None:
        have, lack = ("--mean", "--std") if std is None else ("--std", "--mean")
        raise PoiseError(f"{have} is given without {lack}; give both")
    for option, values, low in (("--mean", mean, 0.0), ("--std", std, 1e-6)):
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


def _numbers(values: Any) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 3 or not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"needs three numbers, not {values}")
    if min(numbers) < 0:
        raise ValueError(f"needs numbers from 0 up, not {values}")
    return numbers


def _side(size: Any) -> int | None:
    if isinstance(size, Mapping):
        size = size.get("shortest_edge") or size.get("height")
    return int(size) if size else None
