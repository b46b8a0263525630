"""Probes without labels. They measure in how many directions the features of images differ.

In: features of the bank (the reference images of k-NN), or a dataset and the recipe's settings for
views. Out: ``(name, value)`` pairs. Next: ``poise.evaluation.during_training``.

``rankme`` (``rankme/poise-v1``) is RankMe (arXiv 2210.02885) of whole images. It uses the features
of the bank, which k-NN needs as well. So its only extra cost is one matrix product and the singular
values. The paper says that 25,600 images are enough. From a larger bank the probe takes 25,600
images, evenly spaced.

``lidar`` (``lidar/poise-v1``) is LiDAR (arXiv 2312.04000) of 256 images with 8 views each. The
views are the global views, with colour changes, that training cuts from these images in its first
epochs with seed 0. Images and views are the same at every step and in every run on a dataset. So
only the backbone changes the metric.

The paper uses 1000 images and 50 views. Here the cost must be small compared with k-NN on 12,000
images, so the probe uses 2048 views. Several splits of 2048 views were compared with 48,000 views
(CIFAR-10, MAE, DINO, a collapsed DINO and an untrained ViT). With 256 images of 8 views, the
ranking of the backbones is nearest to that of 48,000 views. With 128 images of 16 views, the images
are too few. With 512 images of 4 views, the noise among views is too strong.

Cost in CPU seconds with a 4-block ViT at 32 px: RankMe of 10,000 features with 128 dimensions takes
0.02. LiDAR takes 1.0, and 1.9 at the first evaluation, which also cuts the views. For comparison,
computing k-NN's features takes 0.9 for 2048 images and 5 for 12,000 images.

A high value of either metric does not prove that features are good. Compare values only between
runs with the same objective, backbone and dataset.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from poise.config.views import ViewsConfig
from poise.data.batch import ViewBatch
from poise.data.dataset import EncodedBatch, ImageDataset
from poise.data.views.color_augmentation import Photometry
from poise.data.views.cutter import ViewCutter
from poise.diagnostics.spectrum import rankme, singular_values
from poise.diagnostics.view_agreement import lidar
from poise.evaluation.reading.features import features_of
from poise.evaluation.reading.image_sets import Batch
from poise.evaluation.reading.images import CACHE_BYTES, EvaluationImages
from poise.evaluation.reading.inference import Bench

RANKME_PROTOCOL = "rankme/poise-v1"
LIDAR_PROTOCOL = "lidar/poise-v1"

_RANKME_IMAGES = 25_600
_LIDAR_IMAGES, _LIDAR_VIEWS = 256, 8
_SEED = 0
_VIEWS_AT_ONCE = 64


def rankme_probe(features: Tensor) -> Iterator[tuple[str, float]]:
    """Yields ``rankme``, the effective rank of a bank's features [m, D].

    Range: 1 to min(m, D). Healthy: the value rises from its untrained value and stays high. Broken:
    the value is near 1 (all features are on one line), or falls steadily during training.
    """
    num = min(len(features), _RANKME_IMAGES)
    rows = torch.linspace(0, len(features) - 1, num, device=features.device).long()
    yield "rankme", rankme(singular_values(features[rows])).item()


def lidar_probe(
    backbone: nn.Module,
    views: "TrainingViews",
    bench: Bench,
) -> Iterator[tuple[str, float]]:
    """Yields ``lidar``, the effective rank of the differences between images.

    Differences between views of the same image do not count. Range: 1 to min(images − 1, D).
    Healthy: the value rises from its untrained value. Broken: the value is near 1, because views of
    different images differ no more than views of one image. The modules keep their train or eval
    mode.
    """
    images_at_once = max(1, _VIEWS_AT_ONCE // _LIDAR_VIEWS)
    features, _ = features_of(backbone, views, replace(bench, batch_size=images_at_once))
    yield "lidar", lidar(features.unflatten(0, (len(views), _LIDAR_VIEWS)).transpose(0, 1)).item()


class TrainingViews(EvaluationImages):
    """Views of some of a dataset's images, cut as in training.

    Rows with the views of one image follow each other. The views of a small dataset stay in memory,
    so a run cuts them only once.
    """

    def __init__(self, dataset: ImageDataset, config: ViewsConfig) -> None:
        """Chooses images of a dataset and reads none yet. The views are global views only."""
        super().__init__(
            dataset, config.global_px, _LIDAR_IMAGES, _SEED, CACHE_BYTES // _LIDAR_VIEWS
        )
        self._num_epochs = -(-_LIDAR_VIEWS // config.global_count)
        self._cut = ViewCutter(config.model_copy(update={"local_count": 0}), _SEED)
        self._photometry = Photometry(config, mean=(0, 0, 0), std=(1, 1, 1))

    def _prepare(self, encoded: EncodedBatch) -> Batch:
        epochs = [self._colored(self._cut(encoded, epoch)) for epoch in range(self._num_epochs)]
        views = torch.cat(epochs)[:_LIDAR_VIEWS].transpose(0, 1)  # [b, V, 3, px, px]
        labels = torch.from_numpy(encoded.labels).repeat_interleave(_LIDAR_VIEWS)
        return views.flatten(0, 1), labels

    def _colored(self, batch: ViewBatch) -> Tensor:
        # Training also rounds colours to uint8 before it normalises them.
        return self._photometry.colors(
            self._photometry(batch.global_views, batch.global_photometry)
        )
