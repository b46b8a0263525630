"""Computes the diagnostic metrics of one step.

In: statistics of this worker's share of a batch, and scalars that the training loop has computed.
Out: pairs ``(name, value)`` for the global batch. Next: the run's log, and
``poise.diagnostics.judge.verdict``, which reads the history of these metrics.

The order of collective operations depends on which statistics exist, but not on their values. So
all workers call the same collective operations in the same order.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from poise.cluster.collectives import mean_over_workers, rows_of_all_workers
from poise.cluster.sharded_tensors import whole
from poise.config.metrics import OVER_LN_K
from poise.diagnostics import prototypes, reconstruction
from poise.diagnostics import self_distillation as distillation
from poise.diagnostics.batch_statistics import MAX_FEATURES, BatchStatistics
from poise.diagnostics.patches import patch_metrics
from poise.diagnostics.prototypes import AssignmentWindow
from poise.diagnostics.spectrum import spectrum_metrics
from poise.diagnostics.spread import spread_metrics
from poise.diagnostics.view_agreement import view_metrics
from poise.diagnostics.views import largest_value
from poise.models.last_tokens import OBSERVED_IMAGES, LastTokens

NO_SCALARS: Mapping[str, Tensor] = {}


def diagnose(
    batch: BatchStatistics,
    scalars: Mapping[str, Tensor] = NO_SCALARS,
    window: AssignmentWindow | None = None,
) -> Iterator[tuple[str, float]]:
    """Yields every metric of the global batch that can be computed from the statistics.

    With torch.distributed, every worker must call this function at the same steps and read all
    values, because workers exchange data here. All values are copied from the GPU together.

    Args:
        batch: statistics of this worker's share of the batch.
        scalars: dict from names (such as ``gradient/norm``) to 0-dimensional tensors on the same
            device. These values are averaged over workers.
        window: assignments of earlier logged batches, to which this batch is added. None uses only
            this batch.
    """
    numbers = _measure(batch, scalars, window or AssignmentWindow())
    if not numbers:
        return
    fetched = torch.stack([number.double() for number in numbers.values()]).tolist()
    values = reconstruction.defined(dict(zip(numbers, fetched, strict=True)))
    yield from values.items()
    if batch.mean_probs is not None:
        ln_k = math.log(len(batch.mean_probs))
        yield from (
            (OVER_LN_K[name], value / ln_k) for name, value in values.items() if name in OVER_LN_K
        )


@torch.no_grad()
def _measure(
    batch: BatchStatistics, scalars: Mapping[str, Tensor], window: AssignmentWindow
) -> dict[str, Tensor]:
    averaged = {name: value.detach().float() for name, value in scalars.items()} | batch.averages
    numbers: dict[str, Tensor] = {}
    if averaged:
        mean = mean_over_workers(torch.stack(list(averaged.values())))
        numbers |= zip(averaged, mean.unbind(), strict=True)
    if batch.mean_probs is not None:
        numbers |= _assignments(batch.mean_probs, batch.chosen, numbers["teacher/entropy"], window)
    if batch.features is not None:
        numbers |= _features(batch.features)
    if batch.tokens is not None:
        numbers |= _tokens(batch.tokens)
    if batch.moments is not None:
        numbers |= reconstruction.shares(mean_over_workers(batch.moments))
    if batch.views is not None:
        numbers["views/largest_value"] = largest_value(batch.views)
    if batch.prototypes is not None:
        numbers["prototypes/duplicate_share"] = prototypes.duplicate_share(whole(batch.prototypes))
    if batch.center is not None:
        numbers["center/norm"] = distillation.center_norm(batch.center)
    return numbers


def _assignments(
    mean_probs: Tensor, chosen: Tensor, entropy: Tensor, window: AssignmentWindow
) -> dict[str, Tensor]:
    """Computes metrics of the teacher's assignments, over all workers."""
    mean_probs = mean_over_workers(mean_probs)
    window.add(rows_of_all_workers(chosen), mean_probs)
    marginal = distillation.marginal_entropy(mean_probs)
    return {
        "teacher/marginal_entropy": marginal,
        "teacher/mutual_information": distillation.mutual_information(marginal, entropy),
        **prototypes.usage_metrics(window),
    }


def _features(by_image: Tensor) -> dict[str, Tensor]:
    """Computes metrics of features [B, V, D], with V views of each image."""
    num_views = by_image.shape[1]
    views = rows_of_all_workers(by_image, MAX_FEATURES // num_views).transpose(0, 1)
    numbers = spectrum_metrics(views.flatten(0, 1)) | spread_metrics(views[0])
    return numbers | view_metrics(views) if num_views > 1 else numbers


def _tokens(tokens: LastTokens) -> dict[str, Tensor]:
    gathered: dict[str, Any] = {
        name: None if rows is None else rows_of_all_workers(rows, OBSERVED_IMAGES)
        for name, rows in vars(tokens).items()
    }
    return patch_metrics(LastTokens(**gathered))
