"""Measures the content of outlier tokens: do they predict their place, pixels and image's class?

In: a ``TokenSample`` and a threshold. Out: metrics. Next: ``poise.evaluation.outliers.measure``.

Every probe is linear and solved in closed form. It learns from the tokens of one half of the
images, chosen at random with seed 0. It is scored on the other half. Outliers and ordinary tokens
have separate probes, which learn from equally many tokens.

Source: registers (arXiv 2309.16588, section 2.1, figure 5 and table 1). In the paper, a probe finds
the position of 41.7 % of ordinary tokens, but of 22.8 % of outliers (top-1). One outlier classifies
images almost as well as [cls], and far better than one ordinary token. The probes of the paper are
trained by gradients. So compare these metrics between models, and not with the paper.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.evaluation.measurement import ratio_interval, wilson_interval
from poise.evaluation.neighbours.ridge import PENALTIES, ridge_probe
from poise.evaluation.neighbours.samples import BankAndQueries
from poise.evaluation.outliers.outlier_positions import figure
from poise.evaluation.outliers.sample import Tokens
from poise.evaluation.report import Figure

LEAST_TOKENS = 50
"""Smallest number of tokens for a probe. Tokens of one kind in the training half and the test half
are counted together.
"""

_MOST_PIXEL_TOKENS = 4096  # limits the memory of a regression on hundreds of pixels


@dataclass(frozen=True)
class Halves:
    """Split of a sample's images into a training half and a test half."""

    learns: Tensor
    """Whether each image is in the training half, bool [n]."""

    @classmethod
    def of(cls, num_images: int) -> "Halves":
        """Chooses the training half at random with seed 0."""
        learns = torch.zeros(num_images, dtype=torch.bool)
        drawn = np.random.default_rng(0).permutation(num_images)[: num_images // 2]
        learns[torch.from_numpy(drawn)] = True
        return cls(learns)

    def split(self, tokens: Tokens) -> tuple[Tokens, Tokens]:
        """Splits tokens into those of training images and those of test images."""
        learns = self.learns[tokens.images]
        return tokens.only(learns), tokens.only(~learns)


def equally_many(first: Tokens, second: Tokens) -> tuple[Tokens, Tokens]:
    """Removes tokens from the larger of two groups, so that both have equally many tokens.

    The remaining tokens are evenly spaced in their group.
    """
    count = min(len(first), len(second))
    return _thinned(first, count), _thinned(second, count)


def position_figures(
    kind: str, tokens: Tokens, halves: Halves, grid: tuple[int, int]
) -> Iterator[Figure]:
    """Yields how well a linear probe finds the position of a token's patch from the token.

    ``position_top1_<kind>`` is the accuracy of a linear classifier that has one class for each of
    the N positions. Chance is 100/N %. ``position_error_<kind>`` is the mean distance in patches
    between the position and the prediction of a linear regression. ``position_guess_<kind>`` is
    this distance for the best constant prediction.

    Healthy: for ordinary tokens, the error is far below the guess. Outliers have lost their
    position, so their error is closer to the guess.

    Args:
        kind: ``outlier`` or ``ordinary``.
        tokens: tokens to probe.
        halves: training and test images.
        grid: numbers of rows and columns of patches.
    """
    train, test = halves.split(tokens)
    samples = BankAndQueries(
        train.vectors, train.places, test.vectors, test.places, grid[0] * grid[1]
    )
    hits = round(dict(ridge_probe(samples))["linear_top1"] / 100 * len(test))
    yield _share(f"position_top1_{kind}", hits, len(test))
    places, wanted = _coordinates(train.places, grid[1]), _coordinates(test.places, grid[1])
    errors = np.linalg.norm(regress(train.vectors, places, test.vectors) - wanted, axis=1)
    yield _by_image(f"position_error_{kind}", errors, test, "patches")
    guesses = np.linalg.norm(places.mean(axis=0) - wanted, axis=1)
    yield _by_image(f"position_guess_{kind}", guesses, test, "patches")


def pixel_figures(kind: str, tokens: Tokens, halves: Halves) -> Iterator[Figure]:
    """Yields how well a linear probe reconstructs the pixels of a token's patch from the token.

    ``pixel_error_<kind>`` is the mean norm of the difference between the patch's normalised pixels
    and the prediction of a linear regression. Published for DINOv2-g: 18.38 for ordinary tokens,
    25.23 for outliers. ``pixel_guess_<kind>`` is this norm for the best constant prediction.

    Healthy: for ordinary tokens, the error is far below the guess. Outliers have lost their pixels,
    so their error is closer to the guess.
    """
    train, test = (_thinned(half, _MOST_PIXEL_TOKENS) for half in halves.split(tokens))
    pixels, wanted = train.pixels.numpy(), test.pixels.numpy()
    errors = np.linalg.norm(regress(train.vectors, pixels, test.vectors) - wanted, axis=1)
    yield _by_image(f"pixel_error_{kind}", errors, test, "")
    guesses = np.linalg.norm(pixels.mean(axis=0) - wanted, axis=1)
    yield _by_image(f"pixel_guess_{kind}", guesses, test, "")


def class_figure(
    kind: str, vectors: Tensor, labels: Tensor, learns: Tensor, num_classes: int
) -> Figure:
    """Measures how well one token of an image predicts the image's class (``class_top1_<kind>``).

    Healthy: [cls] is far above chance. If one outlier is near [cls] and far above one ordinary
    token, the outlier stores information about the whole image, as registers do.

    Args:
        kind: kind of the token, such as ``cls`` or ``register_1``.
        vectors: one token per image, [n, D].
        labels: labels of the images, from 0 to C − 1, [n].
        learns: whether each image is in the training half, bool [n].
        num_classes: number of classes C.
    """
    samples = BankAndQueries(
        vectors[learns], labels[learns], vectors[~learns], labels[~learns], num_classes
    )
    num_tested = int((~learns).sum())
    hits = round(dict(ridge_probe(samples))["linear_top1"] / 100 * num_tested)
    return _share(f"class_top1_{kind}", hits, num_tested)


def regress(inputs: Tensor, targets: NDArray[np.floating], queries: Tensor) -> NDArray[np.floating]:
    """Predicts targets by ridge regression on standardised inputs.

    Of the penalties in ``poise.evaluation.neighbours.ridge``, the one with the smallest
    leave-one-out error is used.

    Args:
        inputs: training tokens, [m, D].
        targets: targets of the training tokens, [m, K].
        queries: tokens to predict for, [q, D].

    Returns:
        Predictions [q, K].
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    penalties = np.array(PENALTIES) * len(inputs)
    model = make_pipeline(StandardScaler(), RidgeCV(penalties))
    predicted: NDArray[np.floating] = model.fit(inputs.numpy(), targets).predict(queries.numpy())
    return predicted


def _coordinates(places: Tensor, num_columns: int) -> NDArray[np.float64]:
    """Computes the row and the column of each place, [m, 2]."""
    return np.stack([places.numpy() // num_columns, places.numpy() % num_columns], 1).astype(float)


def _thinned(tokens: Tokens, count: int) -> Tokens:
    """Takes at most ``count`` tokens, evenly spaced."""
    if len(tokens) <= count:
        return tokens
    return tokens.only(torch.linspace(0, len(tokens) - 1, count).round().long())


def _share(name: str, hits: int, trials: int) -> Figure:
    low, high = wilson_interval(hits, trials)
    return Figure(name, 100 * hits / trials, "%", 100 * low, 100 * high)


def _by_image(name: str, values: NDArray[np.floating], tokens: Tokens, unit: str) -> Figure:
    """Computes the mean of a value over tokens, with a confidence interval over images."""
    images = tokens.images.numpy()
    sums, counts = np.bincount(images, values), np.bincount(images)
    return figure(name, ratio_interval(sums.astype(float), counts.astype(float)), unit)
