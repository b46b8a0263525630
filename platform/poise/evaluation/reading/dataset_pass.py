"""Passes every image through a module once, in this process or over Ray.

In: a module that turns normalised images into named tensors, and an ``ImageSet``. Out: the outputs
of each batch, in order, with labels. Next: ``poise.evaluation.reading.features`` and the probes.

On a CPU each batch is computed in one thread. If several threads shared a batch, a small backbone
would cost several times more, because threads use the CPU while they wait for each other. The cost
is highest if other programs use the machine too. ``docs/decisions/0006-probes.md`` has
measurements.
"""

from torch import nn

from poise.evaluation.reading.finite import check_finite
from poise.evaluation.reading.image_sets import ImageSet
from poise.evaluation.reading.inference import Answers, Bench, evaluation_mode, pass_here


def image_pass(module: nn.Module, images: ImageSet, bench: Bench) -> Answers:
    """Yields the module's outputs for each batch, and one value per image, by sample id.

    Args:
        module: module on the device of the bench that turns images [b, 3, h, w] into ``Outputs``.
            It runs in evaluation mode. Then its submodules get their train or eval mode back.
        images: images to pass through the module. The values of ``EvaluationImages`` are labels
            int64 [b], those of ``NativeImages`` are sizes int64 [b, 2].
        bench: device and batch size. ``bench.spread`` chooses the processes.

    Raises:
        NotFiniteError: an output is NaN or infinite.
    """
    spread = bench.spread or pass_here
    with evaluation_mode(module):
        for outputs, labels in spread(module, images, bench):
            check_finite(outputs, images.folder)
            yield outputs, labels
            bench.on_images(len(labels))
