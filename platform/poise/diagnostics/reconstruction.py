"""Whether predicted pixels say anything about the image.

In: predictions and targets of hidden patches, [n, C] with C numbers a patch. Out: 0-dimensional
tensors on the same device. Next: ``poise.diagnostics.observe``.

A decoder that has learned nothing, or was left with nothing to see, predicts the mean: the same
patch everywhere, whatever the image. The loss alone does not show it, because its scale is that of
the pixels; the shares below do. Sources: MAE (arXiv 2111.06377) for the two targets; the rest is
the decomposition of a squared error into explained and unexplained variance.
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
"""Shares, and what they are shares of."""

_ROUNDING = 1e-6  # of the mean square: a smaller variance is what float32 makes of none


def moments(predictions: Tensor, targets: Tensor) -> Tensor:
    """What the shares are made of, [5·C + 1]: means over this worker's patches.

    Means of equal shares can be averaged over workers, which their variances cannot.
    """
    means = torch.stack(
        [targets, targets**2, predictions, predictions**2, (predictions - targets) ** 2]
    ).mean(dim=1)  # [5, C]
    return torch.cat([means.flatten(), targets.var(dim=1, correction=0).mean()[None]])


def shares(moments: Tensor) -> dict[str, Tensor]:
    """Every number of ``moments``, of one worker or averaged over all, by name.

    Beside them the two variances that ``defined`` needs, as all comes from the device in one copy.
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
    """The numbers without the two variances, and without shares of one that is 0.

    Of images without any texture there is nothing to explain: that says nothing of the decoder.
    """
    undefined = {share for share, whole in _OVER.items() if values.get(whole) == 0}
    left_out = undefined | set(_OVER.values())
    return {name: value for name, value in values.items() if name not in left_out}


def _above_rounding(variance: Tensor, mean_square: Tensor) -> Tensor:
    return torch.where(variance <= _ROUNDING * mean_square, 0, variance)


def over_mean_patch(error: Tensor, target_variance: Tensor) -> Tensor:
    """The squared error over that of predicting the mean patch of the batch everywhere.

    Formula: Σ (ŷ − y)² / Σ (y − ȳ)², ȳ [C] the mean over patches: one less the share of variance
    that is explained. With normalised targets the denominator is near 1, and this is near the loss,
    unless most patches share a pattern such as light from above.

    Source: none: ours; the targets are those of MAE (arXiv 2111.06377, section 3). Cost: O(1)
    beyond ``moments``, O(n·C).

    Healthy: falls below 1 within the warm-up and goes on falling. Broken: rests on 1, the decoder
    predicts the mean. Above 1 at the start is the noise of untrained predictions.
    """
    return (error / target_variance).float()


def over_flat_patch(error: Tensor, variance_within: Tensor) -> Tensor:
    """The squared error over that of painting every hidden patch in its own true mean colour.

    Formula: Σ (ŷ − y)² / Σ (y − m)², m the mean of a patch's own C numbers. With normalised targets
    the denominator is 1 but for patches that are flat, and this is the loss: their mean colour is 0
    everywhere.

    Source: none: ours; the targets are those of MAE (arXiv 2111.06377, section 3). Cost: O(1)
    beyond ``moments``, O(n·C).

    Healthy: of raw pixels far above 1 at first, as mean colours have to be found too; below 1 once
    textures are. Broken: resting above 1 to the end, nothing finer than a patch is predicted.
    """
    return (error / variance_within).float()


def prediction_std(predicted_variance: Tensor) -> Tensor:
    """Standard deviation of predictions across patches, root mean square over a patch's numbers.

    Formula: √(mean of (ŷ − mean ŷ)²), the inner mean over patches. As a share of the targets' own
    (``prediction/std_over_target``) it is about the square root of the explained share, because a
    squared error makes predictions timid.

    Source: none: ours. Cost: O(1) beyond ``moments``, O(n·C).

    Healthy: grows as the loss falls. Broken: 0, every patch is painted alike.
    """
    return predicted_variance.sqrt().float()
