"""Metrics of predicted pixels: how much of the image's variance they explain.

In: predictions and targets of hidden patches, [n, C] with C numbers per patch. Out: 0-dimensional
tensors on the same device. Next: ``poise.diagnostics.observe``.

A decoder that has learned nothing predicts the mean patch everywhere, in every image. The loss
alone does not show this failure, because its scale depends on the pixels. The metrics here divide
the loss by a variance, so a value of 1 shows this failure. Source: both kinds of targets (raw and
normalised pixels) are MAE's (arXiv 2111.06377).
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
"""Maps each metric that is a ratio to the name of the variance in its denominator."""

_ROUNDING = 1e-6  # share of the mean square: a smaller variance is float32 rounding


def moments(predictions: Tensor, targets: Tensor) -> Tensor:
    """Computes the means over this worker's patches that ``shares`` needs: [5·C + 1].

    These means can be averaged over workers with equal numbers of patches. Variances could not be
    averaged.
    """
    means = torch.stack(
        [targets, targets**2, predictions, predictions**2, (predictions - targets) ** 2]
    ).mean(dim=1)  # [5, C]
    return torch.cat([means.flatten(), targets.var(dim=1, correction=0).mean()[None]])


def shares(moments: Tensor) -> dict[str, Tensor]:
    """Computes every metric of this module from ``moments``.

    ``moments`` are the moments of one worker, or their mean over all workers.

    The result also contains the two variances that ``defined`` needs. So all values can be copied
    from the GPU together.
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
    """Removes from the result of ``shares`` the two variances, and ratios whose variance is 0.

    Images without texture have a variance of 0, so they give no information about the decoder.
    """
    undefined = {share for share, whole in _OVER.items() if values.get(whole) == 0}
    left_out = undefined | set(_OVER.values())
    return {name: value for name, value in values.items() if name not in left_out}


def _above_rounding(variance: Tensor, mean_square: Tensor) -> Tensor:
    return torch.where(variance <= _ROUNDING * mean_square, 0, variance)


def over_mean_patch(error: Tensor, target_variance: Tensor) -> Tensor:
    """Squared error divided by the error of predicting the mean patch of the batch; 0 or above.

    Formula: Σ (ŷ − y)² / Σ (y − ȳ)², with ȳ [C] the mean over patches. This is 1 minus the
    explained share of variance. With normalised targets the denominator is near 1, so the value is
    near the loss. The value differs from the loss if most patches have the same pattern, such as
    light from above.

    Source: none, the metric is our own; the targets are MAE's (arXiv 2111.06377, section 3). Cost:
    O(1) in addition to ``moments``, which is O(n·C).

    Healthy: the value falls below 1 during the warm-up and continues to fall. Broken: the value
    stays at 1, because the decoder predicts the mean. At the start of training the value is above
    1, because untrained predictions are noise.
    """
    return (error / target_variance).float()


def over_flat_patch(error: Tensor, variance_within: Tensor) -> Tensor:
    """Squared error divided by the error of predicting each patch's true mean colour; 0 or above.

    Formula: Σ (ŷ − y)² / Σ (y − m)², with m the mean of a patch's own C numbers. With normalised
    targets m is 0 and the denominator is 1, except in flat patches, so the value is the loss.

    Source: none, the metric is our own; the targets are MAE's (arXiv 2111.06377, section 3). Cost:
    O(1) in addition to ``moments``, which is O(n·C).

    Healthy: with raw pixels, the value is far above 1 at first, because mean colours must be
    learned too. The value falls below 1 when textures are learned. Broken: the value stays above 1
    to the end. Then the decoder predicts no detail smaller than a patch.
    """
    return (error / variance_within).float()


def prediction_std(predicted_variance: Tensor) -> Tensor:
    """Standard deviation of predictions across patches, in the units of the targets; 0 or above.

    Formula: √(mean of (ŷ − mean ŷ)²); the inner mean is over patches. The metric
    ``prediction/std_over_target`` is this value divided by the standard deviation of the targets.
    It is about the square root of the explained share of variance, because training with a squared
    error moves predictions towards the mean.

    Source: none, the metric is our own. Cost: O(1) in addition to ``moments``, which is O(n·C).

    Healthy: the value rises as the loss falls. Broken: 0, so all patches have the same prediction.
    """
    return predicted_variance.sqrt().float()
