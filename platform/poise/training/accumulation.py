"""Gradient accumulation: a batch passes through the model in several micro-batches.

In: a worker's share of a batch. Out: the gradients, the loss and the metrics of the whole share, as
in a single pass. Next: ``poise.training.loop``, which then updates the weights once.

The gradient of a mean loss is the mean of the gradients of the micro-batches. Optimiser, teacher,
centre and schedules are updated only after the last micro-batch. The random numbers of an image do
not depend on the other images of its micro-batch. So micro-batches change only the memory and the
last digits of the result.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.config.training import TrainingConfig
from poise.data.batch import ViewBatch
from poise.objectives.base import Objective, RunPosition, StepResult
from poise.training.elastic import is_elastic
from poise.training.parallel import waits_for_more
from poise.training.precision import autocast


def accumulate_gradients(
    model: nn.Module,
    micro_batches: Sequence[ViewBatch],
    position: RunPosition,
    training: TrainingConfig,
    after_each: Callable[[float], None],
) -> StepResult:
    """Computes the gradients of a batch's mean loss, micro-batch by micro-batch.

    Workers exchange the gradients once, with the last micro-batch.

    Args:
        model: objective, perhaps wrapped in DistributedDataParallel.
        micro_batches: this worker's share of the batch, split into micro-batches.
        position: position of the step.
        training: training settings, for the precision.
        after_each: function that is called after each micro-batch. Its argument is the share of the
            images that the micro-batch contains.

    Returns:
        The loss and the metrics of the whole share, detached.
    """
    num_images = sum(map(len, micro_batches))
    totals: dict[str, Tensor] = {}
    for number, part in enumerate(micro_batches, start=1):
        share = len(part) / num_images
        with waits_for_more(model, number < len(micro_batches)):
            with autocast(training, part.sample_ids.device):
                result: StepResult = model(part, position)
            (result.loss * share).backward()
        after_each(share)
        for name, value in {**result.metrics, "": result.loss.detach()}.items():
            totals[name] = totals[name] + share * value if name in totals else share * value
    return StepResult(totals.pop(""), totals)


def check_micro_batches(recipe: Recipe, objective: Objective) -> None:
    """Raises an error if micro-batches would change what the model learns.

    This is so if the output for an image depends on the other images of the batch. An elastic run
    uses micro-batches if it has fewer workers than planned.

    Raises:
        PoiseError: the model has batch norms, or dropout with random numbers for the whole batch.
    """
    size, least = recipe.micro_batch_size, recipe.training.min_workers
    if size == recipe.worker_batch_size and not is_elastic(recipe):
        return
    reason = next(filter(None, map(_why_not, objective.trainable.modules())), None)
    if reason is None:
        return
    has = f"{recipe.backbone.name} or its head has {reason}"
    if size == recipe.worker_batch_size:
        raise PoiseError(
            f"training.min_workers={least}: {has}, so with fewer workers another model would be "
            "learned; set it to null"
        )
    raise PoiseError(
        f"training.micro_batch_size={size}: {has}, so micro-batches would change what is learned; "
        "set it to null, or spread the batch over more workers (training.num_workers)"
    )


def _why_not(module: nn.Module) -> str | None:
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return "batch norms, which need the statistics of the whole batch"
    if isinstance(module, nn.modules.dropout._DropoutNd) and module.p:
        return f"dropout of {module.p:g}, which is not drawn for each image"
    # timm's dropout of patches
    return "dropout of patches, which is not drawn for each image" if _drops(module) else None


def _drops(module: nn.Module) -> bool:
    return type(module).__name__ == "PatchDropout" and bool(getattr(module, "prob", 0))
