"""All the numbers of one step.

In: what the objective shows (this worker's share), and numbers that the loop has already. Out:
``(name, value)`` pairs of the global batch. Next: the run's log, and ``poise.diagnostics.verdict``
on their history.
"""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from poise.diagnostics import features as feature_metrics
from poise.diagnostics import reconstruction
from poise.diagnostics import self_distillation as distillation
from poise.diagnostics.gather import mean_over_workers, rows_of_all_workers
from poise.objectives.base import Observation

NO_SCALARS: Mapping[str, Tensor] = {}

OVER_LN_K = {
    "teacher/entropy": "teacher/entropy_over_ln_k",
    "teacher/kl": "teacher/kl_over_ln_k",
    "teacher/marginal_entropy": "teacher/marginal_entropy_over_ln_k",
    "teacher/mutual_information": "teacher/mutual_information_over_ln_k",
}
"""Numbers in nats, and the names of their shares of ln K, which compare across K."""


def diagnose(
    observation: Observation, scalars: Mapping[str, Tensor] = NO_SCALARS
) -> Iterator[tuple[str, float]]:
    """Yields every number that the observation allows, of the global batch.

    Under torch.distributed every worker must call this at the same steps, and drain it: it
    gathers. All numbers come from the device in one copy.

    Args:
        observation: this worker's share of the batch.
        scalars: 0-dimensional tensors on the observation's device that the loop has at hand, by
            name (``gradient/norm``): averaged over workers, fetched along.
    """
    numbers = _measure(observation, scalars)
    if not numbers:
        return
    fetched = torch.stack(list(numbers.values())).tolist()
    values = reconstruction.defined(dict(zip(numbers, fetched, strict=True)))
    yield from values.items()
    if observation.teacher_probs is not None:
        ln_k = math.log(observation.teacher_probs.shape[-1])
        yield from (
            (OVER_LN_K[name], value / ln_k) for name, value in values.items() if name in OVER_LN_K
        )


@torch.no_grad()
def _measure(observation: Observation, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
    averaged = {name: value.detach().float() for name, value in scalars.items()}
    numbers: dict[str, Tensor] = {}
    if observation.teacher_probs is not None:
        averaged |= _teacher_averages(observation.teacher_probs, observation.student_logits)
    if averaged:
        mean = mean_over_workers(torch.stack(list(averaged.values())))
        numbers |= zip(averaged, mean.unbind(), strict=True)
    if observation.teacher_probs is not None:
        numbers |= _teacher_derived(observation.teacher_probs, numbers)
    if observation.features is not None:
        rows = rows_of_all_workers(observation.features.float())
        numbers["features/std"] = feature_metrics.feature_std(rows)
        numbers["features/rankme"] = feature_metrics.rankme(rows)
    if observation.predictions is not None and observation.targets is not None:
        own = reconstruction.moments(observation.predictions.float(), observation.targets.float())
        numbers |= reconstruction.shares(mean_over_workers(own))
    if observation.center is not None:
        numbers["center/norm"] = distillation.center_norm(observation.center)
    return numbers


def _teacher_averages(teacher_probs: Tensor, student_logits: Tensor | None) -> dict[str, Tensor]:
    averages = {"teacher/entropy": distillation.entropy(teacher_probs)}
    if student_logits is not None and len(student_logits) > 1:
        averages["teacher/cross_entropy"] = distillation.cross_entropy(
            teacher_probs, student_logits
        )
    return averages


def _teacher_derived(teacher_probs: Tensor, numbers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    entropy = numbers["teacher/entropy"]
    marginal = distillation.marginal_entropy(
        mean_over_workers(teacher_probs.float().mean(dim=(0, 1)))
    )
    derived = {
        "teacher/marginal_entropy": marginal,
        "teacher/mutual_information": distillation.mutual_information(marginal, entropy),
    }
    if "teacher/cross_entropy" in numbers:
        derived["teacher/kl"] = distillation.kl_divergence(
            numbers["teacher/cross_entropy"], entropy
        )
    return derived
