"""Runs the probes of token content for which a sample has enough tokens.

In: a ``TokenSample`` and a threshold. Out: metrics, and notes about omitted probes. Next:
``poise.evaluation.outliers.measure``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from poise.config.wording import counted
from poise.evaluation.outliers.sample import Tokens, TokenSample
from poise.evaluation.outliers.threshold import Threshold
from poise.evaluation.outliers.token_content import (
    LEAST_TOKENS,
    Halves,
    class_figure,
    equally_many,
    pixel_figures,
    position_figures,
)
from poise.evaluation.report import Figure

LEAST_PER_CLASS = 10
"""Smallest number of labelled images per class for classification from one token."""


@dataclass(frozen=True)
class Held:
    """Metrics that show which information tokens contain, and notes about omitted probes."""

    figures: tuple[Figure, ...]
    notes: tuple[str, ...]


def probe_tokens(
    sample: TokenSample, threshold: Threshold, grid: tuple[int, int], num_classes: int
) -> Held:
    """Probes the content of outliers, ordinary tokens, [cls] and registers.

    Args:
        sample: tokens of some images.
        threshold: limit of the norm above which a token is an outlier.
        grid: numbers of rows and columns of patches.
        num_classes: number of classes of the dataset, or 0 without labels.
    """
    outliers, ordinary = sample.outliers(threshold), sample.ordinary(threshold)
    halves, notes, figures = Halves.of(len(sample)), [], []
    groups = {"ordinary": ordinary}
    if len(outliers) >= LEAST_TOKENS:
        fewer = equally_many(outliers, ordinary)
        groups = {"outlier": fewer[0], "ordinary": fewer[1]}
        notes.append(
            f"Place and pixels: {len(fewer[0])} outliers and {len(fewer[1])} ordinary tokens of "
            f"{counted(len(sample), 'image')}; one half of the images teaches, the other is scored."
        )
    elif threshold.found:
        notes.append(
            f"Place and pixels of outliers are left out: {len(outliers)} of them in "
            f"{counted(len(sample), 'image')}, and a probe needs {LEAST_TOKENS}. Give more images."
        )
    for kind, tokens in groups.items():
        if min(map(len, halves.split(tokens))) < LEAST_TOKENS // 2:
            notes.append(f"Place and pixels of {kind} tokens are left out: too few images.")
            continue
        figures += [*position_figures(kind, tokens, halves, grid)]
        figures += [*pixel_figures(kind, tokens, halves)]
    classes = _classes(sample, outliers, ordinary, halves, num_classes)
    return Held((*figures, *classes.figures), (*notes, *classes.notes))


def _classes(
    sample: TokenSample, outliers: Tokens, ordinary: Tokens, halves: Halves, num_classes: int
) -> Held:
    """Classifies images from one token each. All kinds of tokens use the same images."""
    known = sample.labels >= 0
    if not num_classes:
        return Held((), ("Classification is left out: the dataset has no labels.",))
    with_both = known & _has(outliers, len(sample)) & _has(ordinary, len(sample))
    if _is_enough(with_both, num_classes):
        chosen = with_both
        note = f"Classification: one token of each of {int(chosen.sum())} images with an outlier."
    else:
        chosen = known & _has(ordinary, len(sample))
        note = f"Classification: one token of each of {int(chosen.sum())} images."
    if not _is_enough(chosen, num_classes):
        return Held((), (_too_few(chosen, num_classes),))
    vectors = dict(_vectors(sample, outliers, ordinary, chosen))
    labels, learns = sample.labels[chosen], halves.learns[chosen]
    figures = [
        class_figure(kind, tokens, labels, learns, num_classes) for kind, tokens in vectors.items()
    ]
    commonest = labels[learns].bincount().argmax()
    chance = 100 * (labels[~learns] == commonest).float().mean().item()
    return Held((*figures, Figure("class_chance", chance)), (note,))


def _vectors(
    sample: TokenSample, outliers: Tokens, ordinary: Tokens, chosen: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """Yields one token of each chosen image, by kind.

    Omits a kind that is missing in some image.
    """
    rows = chosen.nonzero()[:, 0]
    for kind, tokens in (("outlier", outliers), ("ordinary", ordinary)):
        if bool(_has(tokens, len(sample))[chosen].all()):
            yield kind, tokens.vectors[_first(tokens, rows)]
    prefix = sample.outputs["prefix"][chosen]  # [n, P, D]
    yield from zip(sample.prefix_names, prefix.unbind(dim=1), strict=True)


def _has(tokens: Tokens, num_images: int) -> Tensor:
    """Returns whether each image has at least one of these tokens, bool [n]."""
    return torch.bincount(tokens.images, minlength=num_images) > 0


def _first(tokens: Tokens, images: Tensor) -> Tensor:
    """Returns the first token of each image.

    Tokens must be ordered by image, and no image may lack one.
    """
    return torch.searchsorted(tokens.images.contiguous(), images)


def _is_enough(chosen: Tensor, num_classes: int) -> bool:
    return int(chosen.sum()) >= LEAST_PER_CLASS * num_classes


def _too_few(chosen: Tensor, num_classes: int) -> str:
    return (
        f"Classification is left out: {int(chosen.sum())} labelled images of {num_classes} "
        f"classes, and a probe needs {LEAST_PER_CLASS} per class. Give more images."
    )
