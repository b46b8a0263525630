"""Metrics of the network's input: the size of the pixels after normalisation.

In: normalised views [n, 3, H, W] of a few images. Out: a 0-dimensional tensor on the same device.
Next: ``poise.diagnostics.observe``, and ``poise.diagnostics.judge.divergence``, which explains why
a run has diverged.
"""

import torch
from torch import Tensor

from poise.cluster.collectives import rows_of_all_workers


@torch.no_grad()
def largest_value(views: Tensor) -> Tensor:
    """Largest magnitude of a normalised pixel, in standard deviations from the mean colour.

    Formula: max |x| over all views, pixels and channels of all workers; 0 or above.

    Source: none, the metric is our own. Cost: one pass over the views of a few images.

    Healthy: from 1 to about 5, and similar at every step. Broken: NaN or infinite, so a channel was
    divided by a standard deviation of 0. Or far above 100, so the mean and standard deviation are
    wrong for these images.

    Args:
        views: views of this worker, [n, 3, H, W].
    """
    own = views.float().abs().amax()[None]
    return rows_of_all_workers(own).amax()
