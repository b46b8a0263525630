"""Passes every image through a module once, in this process or over Ray.

In: a module that turns normalised images into named tensors, and ``EvaluationImages``. Out: its
outputs, batch by batch in order, with labels. Next: ``poise.evaluation.reading.features`` and the
probes.

On a CPU each batch is computed in one thread. If several threads shared a batch, a small backbone
would cost several times more, because threads use the CPU while they wait for each other. The cost
is highest if other programs use the machine too. ``docs/decisions/0006-probes.md`` has
measurements.
"""

from torch import nn

from poise.evaluation.reading.bench import Answers, Bench, evaluation_mode, pass_here
from poise.evaluation.reading.finite import check_finite
from poise.evaluation.reading.image_sets import ImageSet


def image_pass(module: nn.Module, images: ImageSet, bench: Bench) -> Answers:
    """Yields the module's outputs for each batch, and what comes with its images, by sample id.

    Args:
        module: turns images [b, 3, h, w] into ``Outputs``, on the bench's device. It runs in
            evaluation mode, and its submodules get their modes back afterwards.
        images: the images. ``EvaluationImages`` come with labels int64 [b], ``NativeImages`` with
            sizes int64 [b, 2].
        bench: how they are passed; ``bench.spread`` chooses where.

    Raises:
        NotFiniteError: an output is NaN or infinite.
    """
    spread = bench.spread or pass_here
    with evaluation_mode(module):
        for outputs, labels in spread(module, images, bench):
            check_finite(outputs, images.folder)
            yield outputs, labels
            bench.on_images(len(labels))
