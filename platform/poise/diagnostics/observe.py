"""Computes all metrics of one step.

In: the objective's observation (this worker's share), and scalars that the loop already has. Out:
``(name, value)`` pairs of the global batch. Next: the run's log, and
``poise.diagnostics.judge.verdict`` on their history.

The fields of an observation decide the order of collectives; the values do not. So all workers call
the same collectives.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from poise.cluster.collectives import mean_over_workers, rows_of_all_workers
from poise.diagnostics import prototypes, reconstruction
from poise.diagnostics import self_distillation as distillation
from poise.diagnostics.patches import patch_metrics
from poise.diagnostics.prototypes import AssignmentWindow
from poise.diagnostics.spectrum import spectrum_metrics
from poise.diagnostics.spread import spread_metrics
from poise.diagnostics.view_agreement import view_metrics
from poise.diagnostics.views import largest_value
from poise.models.last_tokens import OBSERVED_IMAGES, LastTokens
from poise.objectives.base import Observation

NO_SCALARS: Mapping[str, Tensor] = {}

MAX_FEATURES = 1024
"""Largest number of features that are used, over all views and workers. The cost grows with their
square.

Every worker gives all views of its first images.
"""

OVER_LN_K = {
    "teacher/entropy": "teacher/entropy_over_ln_k",
    "teacher/kl": "teacher/kl_over_ln_k",
    "teacher/marginal_entropy": "teacher/marginal_entropy_over_ln_k",
    "teacher/mutual_information": "teacher/mutual_information_over_ln_k",
}
"""Metrics in nats, and the names of the same metrics divided by ln K. The latter can be compared
across K.
"""


def diagnose(
    observation: Observation,
    scalars: Mapping[str, Tensor] = NO_SCALARS,
    window: AssignmentWindow | None = None,
) -> Iterator[tuple[str, float]]:
    """Yields every metric of the global batch that the observation allows.

    Under torch.distributed every worker must call this function at the same steps and read it to
    its end, because it exchanges data with the other workers. All values are copied from the device
    at once.

    Args:
        observation: this worker's share of the batch.
        scalars: 0-dimensional tensors of the loop on the observation's device, by name
            (``gradient/norm``). They are averaged over workers.
        window: earlier observations of the run; this observation is added. None uses only this
            observation.
    """
    numbers = _measure(observation, scalars, window or AssignmentWindow())
    if not numbers:
        return
    fetched = torch.stack([number.double() for number in numbers.values()]).tolist()
    values = reconstruction.defined(dict(zip(numbers, fetched, strict=True)))
    yield from values.items()
    if observation.teacher_probs is not None:
        ln_k = math.log(observation.teacher_probs.shape[-1])
        yield from (
            (OVER_LN_K[name], value / ln_k) for name, value in values.items() if name in OVER_LN_K
        )


@torch.no_grad()
def _measure(
    observation: Observation, scalars: Mapping[str, Tensor], window: AssignmentWindow
) -> dict[str, Tensor]:
    averaged = {name: value.detach().float() for name, value in scalars.items()}
    numbers: dict[str, Tensor] = {}
    if observation.teacher_probs is not None:
        averaged |= distillation.batch_averages(
            observation.teacher_probs, observation.student_logits
        )
    if averaged:
        mean = mean_over_workers(torch.stack(list(averaged.values())))
        numbers |= zip(averaged, mean.unbind(), strict=True)
    if observation.teacher_probs is not None:
        numbers |= _assignments(observation.teacher_probs, numbers["teacher/entropy"], window)
    if observation.features is not None:
        numbers |= _features(observation.features)
    if observation.tokens is not None:
        numbers |= _tokens(observation.tokens)
    if observation.predictions is not None and observation.targets is not None:
        own = reconstruction.moments(observation.predictions.float(), observation.targets.float())
        numbers |= reconstruction.shares(mean_over_workers(own))
    if observation.views is not None:
        numbers["views/largest_value"] = largest_value(observation.views)
    if observation.prototypes is not None:
        numbers["prototypes/duplicate_share"] = prototypes.duplicate_share(observation.prototypes)
    if observation.center is not None:
        numbers["center/norm"] = distillation.center_norm(observation.center)
    return numbers


def _assignments(
    teacher_probs: Tensor, entropy: Tensor, window: AssignmentWindow
) -> dict[str, Tensor]:
    """Computes metrics of the targets [G, B, K] of all workers together."""
    mean_probs = mean_over_workers(teacher_probs.float().mean(dim=(0, 1)))
    window.add(rows_of_all_workers(teacher_probs.argmax(dim=-1).flatten()), mean_probs)
    marginal = distillation.marginal_entropy(mean_probs)
    return {
        "teacher/marginal_entropy": marginal,
        "teacher/mutual_information": distillation.mutual_information(marginal, entropy),
        **prototypes.usage_metrics(window),
    }


def _features(features: Tensor) -> dict[str, Tensor]:
    """Computes metrics of the features [V, B, D] of V views of the same images."""
    by_image = features.float().transpose(0, 1)  # [B, V, D]
    views = rows_of_all_workers(by_image, MAX_FEATURES // len(features)).transpose(0, 1)
    numbers = spectrum_metrics(views.flatten(0, 1)) | spread_metrics(views[0])
    return numbers | view_metrics(views) if len(views) > 1 else numbers


def _tokens(tokens: LastTokens) -> dict[str, Tensor]:
    gathered: dict[str, Any] = {
        name: None if rows is None else rows_of_all_workers(rows, OBSERVED_IMAGES)
        for name, rows in vars(tokens).items()
    }
    return patch_metrics(LastTokens(**gathered))
