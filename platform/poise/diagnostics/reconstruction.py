"""Whether predicted pixels say anything about the image.

In: predictions and targets of hidden patches, [n, C] with C numbers a patch. Out: 0-dimensional
tensors on the same device. Next: ``poise.diagnostics.observe``.

A decoder that has learned nothing, or was left with nothing to see, predicts the mean: the same
patch everywhere, whatever the image. The loss alone does not show it, because its scale is that of
the pixels; the shares below do. Sources: MAE (arXiv 2111.06377) for the two targets; the rest is
the decomposition of a squared error into explained and unexplained variance.
"""

import torch
from torch import Tensor


def moments(predictions: Tensor, targets: Tensor) -> Tensor:
    """What the shares are made of, [5·C + 1]: means over this worker's patches.

    Means of equal shares can be averaged over workers, which their variances cannot.
    """
    means = torch.stack(
        [targets, targets**2, predictions, predictions**2, (predictions - targets) ** 2]
    ).mean(dim=1)  # [5, C]
    return torch.cat([means.flatten(), targets.var(dim=1, correction=0).mean()[None]])


def shares(moments: Tensor) -> dict[str, Tensor]:
    """Every number of ``moments``, of one worker or averaged over all, by name."""
    target, target_square, predicted, predicted_square, error = (
        moments[:-1].double().unflatten(0, (5, -1))
    )
    target_variance = (target_square - target**2).mean()
    predicted_variance = (predicted_square - predicted**2).mean().clamp(min=0)
    return {
        "loss/over_mean_patch": over_mean_patch(error.mean(), target_variance),
        "loss/over_flat_patch": over_flat_patch(error.mean(), moments[-1].double()),
        "prediction/std": prediction_std(predicted_variance),
        "prediction/std_over_target": prediction_std(predicted_variance / target_variance),
    }


def over_mean_patch(error: Tensor, target_variance: Tensor) -> Tensor:
    """The squared error over that of predicting the mean patch of the batch everywhere.

    One less the share of variance that is explained. With normalised targets the denominator is
    near 1, and this is near the loss, unless most patches share a pattern such as light from above.

    Healthy: falls below 1 within the warm-up and goes on falling. Broken: rests on 1, the decoder
    predicts the mean. Above 1 at the start is the noise of untrained predictions.
    """
    return (error / target_variance).float()


def over_flat_patch(error: Tensor, variance_within: Tensor) -> Tensor:
    """The squared error over that of painting every hidden patch in its own true mean colour.

    With normalised targets the denominator is 1 but for patches that are flat, and this is the
    loss: their mean colour is 0 everywhere.

    Healthy: of raw pixels far above 1 at first, as mean colours have to be found too; below 1 once
    textures are. Broken: resting above 1 to the end, nothing finer than a patch is predicted.
    """
    return (error / variance_within).float()


def prediction_std(predicted_variance: Tensor) -> Tensor:
    """Standard deviation of predictions across patches, root mean square over a patch's numbers.

    As a share of the targets' own (``prediction/std_over_target``) it is about the square root of
    the explained share, because a squared error makes predictions timid.

    Healthy: grows as the loss falls. Broken: 0, every patch is painted alike.
    """
    return predicted_variance.sqrt().float()
