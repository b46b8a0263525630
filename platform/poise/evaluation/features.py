"""From images to the features that probes read.

In: a backbone and images. Out: features and labels. Next: ``poise.evaluation.knn``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from poise.data.dataset import ImageDataset
from poise.evaluation.images import EvaluationImages

Normalization = tuple[Sequence[float], Sequence[float]]
"""Channel mean and std of RGB values in [0, 1], those that training used."""


def no_progress(images: int) -> None:
    """Tells nobody how many images are done."""


def extract_features(
    backbone: nn.Module,
    dataset: ImageDataset,
    image_px: int,
    normalization: Normalization,
    device: torch.device,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Features of a dataset, or of at most ``limit`` of its images; see ``features_of``."""
    images = EvaluationImages(dataset, image_px, limit, seed)
    return features_of(backbone, images, normalization, device)


@torch.no_grad()
def features_of(
    backbone: nn.Module,
    images: EvaluationImages,
    normalization: Normalization,
    device: torch.device,
    batch_size: int = 128,
    bf16: bool = False,
    on_images: Callable[[int], None] = no_progress,
) -> tuple[Tensor, Tensor]:
    """The backbone's features of whole images, in evaluation mode.

    Args:
        backbone: on ``device``; its modules get their modes back afterwards.
        images: what to look at.
        normalization: channel mean and std.
        device: where to compute.
        batch_size: images at once.
        bf16: computes under bfloat16 autocast; the published evaluation is float32.
        on_images: is told after each batch how many images it had.

    Returns:
        features float32 [n, D] on ``device`` and labels int64 [n] (-1 unknown), by sample id.
    """
    features, labels = [], []
    with evaluation_mode(backbone), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for batch, batch_labels in images.batches(batch_size):
            features.append(backbone(normalized(batch.to(device), normalization)).float())
            labels.append(batch_labels)
            on_images(len(batch))
    return torch.cat(features), torch.cat(labels)


def normalized(images: Tensor, normalization: Normalization) -> Tensor:
    """uint8 images [b, 3, h, w] as normalised float32."""
    mean, std = (
        torch.as_tensor(values, dtype=torch.float32, device=images.device).view(3, 1, 1)
        for values in normalization
    )
    return (images.float() / 255 - mean) / std


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Every submodule in evaluation mode, and back in its own mode afterwards."""
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for child, mode in modes.items():
            child.training = mode
