"""One pass over images: a module reads every image once, on this machine or over Ray.

In: a module that turns normalised images into named tensors, and ``EvaluationImages``. Out: its
outputs, batch by batch in order, with labels. Next: ``poise.evaluation.reading.features`` and the
probes.

On a CPU each batch has a thread, and each thread computes alone. Sharing one batch among threads
costs small backbones several times the work (they spin while they wait for each other), most on a
machine that others use too; figures are in ``docs/decisions/0006-probes.md``.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from poise.evaluation.reading.bench import Bench, Outputs, evaluation_mode, pass_here
from poise.evaluation.reading.images import EvaluationImages


def image_pass(
    reader: nn.Module, images: EvaluationImages, bench: Bench
) -> Iterator[tuple[Outputs, Tensor]]:
    """Yields what ``reader`` says of each batch, and its labels int64 [b], by sample id.

    Args:
        reader: on the bench's device; images [b, 3, px, px] to ``Outputs``. It reads in evaluation
            mode, and its modules get their modes back afterwards.
        images: what to look at.
        bench: where and how.
    """
    with evaluation_mode(reader):
        if bench.over_ray:
            from poise.evaluation.reading.distributed import (
                pass_over_ray,  # Ray is for those who ask
            )

            found = pass_over_ray(reader, images, bench)
        else:
            found = pass_here(reader, images, bench)
        for outputs, labels in found:
            yield outputs, labels
            bench.on_images(len(labels))
