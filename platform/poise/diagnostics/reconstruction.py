"""Metrics of predicted pixels: how much of the image they explain.

In: predictions and targets of hidden patches, [n, C] with C numbers a patch. Out: 0-dimensional
tensors on the same device. Next: ``poise.diagnostics.observe``.

A decoder that has learned nothing, or sees nothing, predicts the mean: the same patch everywhere,
in every image. The loss alone does not show this, because its scale is that of the pixels; shares
do. Sources: the two targets are MAE's (arXiv 2111.06377); the rest is the decomposition of a
squared error into explained and unexplained variance.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

_TARGET_VARIANCE = "target_variance"
_VARIANCE_WITHIN = "target_variance_within"
_OVER = {
    "loss/over_mean_patch": _TARGET_VARIANCE,
    "prediction/std_over_target": _TARGET_VARIANCE,
    "loss/over_flat_patch": _VARIANCE_WITHIN,
}
"""Metrics that are shares, and the variance that each is a share of."""

_ROUNDING = 1e-6  # of the mean square: a smaller variance is float32 rounding


def moments(predictions: Tensor, targets: Tensor) -> Tensor:
    """Means over this worker's patches from which the shares are computed, [5·C + 1].

    Means of equal numbers of patches can be averaged over workers; variances cannot.
    """
    means = torch.stack(
        [targets, targets**2, predictions, predictions**2, (predictions - targets) ** 2]
    ).mean(dim=1)  # [5, C]
    return torch.cat([means.flatten(), targets.var(dim=1, correction=0).mean()[None]])


def shares(moments: Tensor) -> dict[str, Tensor]:
    """Every metric of this module from ``moments``, of one worker or averaged over all, by name.

    The two variances that ``defined`` needs are included, so that all numbers are copied from the
    device at once.
    """
    target, target_square, predicted, predicted_square, error = (
        moments[:-1].double().unflatten(0, (5, -1))
    )
    mean_square = target_square.mean()
    target_variance = _above_rounding((target_square - target**2).mean(), mean_square)
    variance_within = _above_rounding(moments[-1].double(), mean_square)
    predicted_variance = (predicted_square - predicted**2).mean().clamp(min=0)
    return {
        "loss/over_mean_patch": over_mean_patch(error.mean(), target_variance),
        "loss/over_flat_patch": over_flat_patch(error.mean(), variance_within),
        "prediction/std": prediction_std(predicted_variance),
        "prediction/std_over_target": prediction_std(predicted_variance / target_variance),
        _TARGET_VARIANCE: target_variance.float(),
        _VARIANCE_WITHIN: variance_within.float(),
    }


def defined(values: Mapping[str, float]) -> dict[str, float]:
    """The metrics without the two variances, and without shares of a variance of 0.

    Images without any texture leave nothing to explain, so they say nothing about the decoder.
    """
    undefined = {share for share, whole in _OVER.items() if values.get(whole) == 0}
    left_out = undefined | set(_OVER.values())
    return {name: value for name, value in values.items() if name not in left_out}


def _above_rounding(variance: Tensor, mean_square: Tensor) -> Tensor:
    return torch.where(variance <= _ROUNDING * mean_square, 0, variance)


def over_mean_patch(error: Tensor, target_variance: Tensor) -> Tensor:
    """Squared error, relative to predicting the mean patch of the batch everywhere; 0 or above.

    Formula: Σ (ŷ − y)² / Σ (y − ȳ)², with ȳ [C] the mean over patches: 1 minus the explained share
    of variance. With normalised targets the denominator is near 1 and this is near the loss, unless
    most patches share a pattern such as light from above.

    Source: none: ours; the targets are those of MAE (arXiv 2111.06377, section 3). Cost: O(1)
    beyond ``moments``, O(n·C).

    Healthy: falls below 1 within the warm-up and goes on falling. Broken: rests on 1, the decoder
    predicts the mean. Above 1 at the start is the noise of untrained predictions.
    """
    return (error / target_variance).float()


def over_flat_patch(error: Tensor, variance_within: Tensor) -> Tensor:
    """Squared error, relative to painting each hidden patch in its true mean colour; 0 or above.

    Formula: Σ (ŷ − y)² / Σ (y − m)², with m the mean of a patch's own C numbers. With normalised
    targets m is 0 and the denominator is 1, except in flat patches, so this is the loss.

    Source: none: ours; the targets are those of MAE (arXiv 2111.06377, section 3). Cost: O(1)
    beyond ``moments``, O(n·C).

    Healthy: with raw pixels far above 1 at first, because mean colours must be found too; below 1
    once textures are found. Broken: above 1 to the end, nothing finer than a patch is predicted.
    """
    return (error / variance_within).float()


def prediction_std(predicted_variance: Tensor) -> Tensor:
    """Standard deviation of predictions across patches, in the units of the targets; 0 or above.

    Formula: √(mean of (ŷ − mean ŷ)²), the inner mean over patches. Relative to that of the targets
    (``prediction/std_over_target``) it is about the square root of the explained share, because a
    squared error pulls predictions towards the mean.

    Source: none: ours. Cost: O(1) beyond ``moments``, O(n·C).

    Healthy: grows as the loss falls. Broken: 0, every patch gets the same prediction.
    """
    return predicted_variance.sqrt().float()
