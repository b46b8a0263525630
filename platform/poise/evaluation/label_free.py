"""The probes that need no labels: the number of directions in which features of images differ.

In: features of a bank, or a dataset and the views that a recipe trains on. Out: ``(name, value)``
pairs. Next: ``poise.evaluation.during_training``.

``rankme`` (``rankme/poise-v1``) is RankMe (arXiv 2210.02885) of whole images. It uses the features
of k-NN's bank, so it costs one product and a spectrum. The paper finds 25,600 images enough; from
a larger bank as many are taken, evenly spaced.

``lidar`` (``lidar/poise-v1``) is LiDAR (arXiv 2312.04000) of 256 images, 8 views of each: the
global views that training would cut of them, colours included, in its first epochs under seed 0.
Both images and views are the same at every step and in every run of a dataset, so that figures
differ by the backbone alone. The paper takes 1000 images and 50 views; here the cost has to be
small beside k-NN's 12,000 images, and of ways to spend 2048 views this one ranks backbones most
like 48,000 do (CIFAR-10, MAE, DINO, a collapsed DINO and an untrained ViT): 128 × 16 leaves too
few images, 512 × 4 lets noise among views through.

Cost, in CPU seconds with a 4-block ViT at 32 px: RankMe of 10,000 features of 128 numbers 0.02,
LiDAR 1.0 and at the first evaluation 1.9, when views are cut; k-NN's features of as many images as
LiDAR has views 0.9, so of 12,000 images 5.

Neither figure says that features are good. Compare it between runs with one objective, backbone
and dataset.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from poise.config.views import ViewsConfig
from poise.data.batch import ViewBatch
from poise.data.dataset import EncodedBatch, ImageDataset
from poise.data.views.cutter import ViewCutter
from poise.data.views.photometry import Photometry
from poise.diagnostics.spectrum import rankme, singular_values
from poise.diagnostics.view_agreement import lidar
from poise.evaluation.reading.bench import Bench, Normalization
from poise.evaluation.reading.features import features_of
from poise.evaluation.reading.image_sets import Batch
from poise.evaluation.reading.images import CACHE_BYTES, EvaluationImages

RANKME_PROTOCOL = "rankme/poise-v1"
LIDAR_PROTOCOL = "lidar/poise-v1"

_RANKME_IMAGES = 25_600
_LIDAR_IMAGES, _LIDAR_VIEWS = 256, 8
_SEED = 0
_VIEWS_AT_ONCE = 64


def rankme_probe(features: Tensor) -> Iterator[tuple[str, float]]:
    """Yields ``rankme``, the effective rank of a bank's features [m, D].

    Range: 1 to min(m, D). Healthy: rises from the untrained value and stays high. Broken: near 1
    (all features lie on a line), or a lasting fall during training.
    """
    num = min(len(features), _RANKME_IMAGES)
    rows = torch.linspace(0, len(features) - 1, num, device=features.device).long()
    yield "rankme", rankme(singular_values(features[rows])).item()


def lidar_probe(
    backbone: nn.Module,
    views: "TrainingViews",
    normalization: Normalization,
    device: torch.device,
) -> Iterator[tuple[str, float]]:
    """Yields ``lidar``, the effective rank of what separates images but not views of one image.

    Range: 1 to min(images − 1, D). Healthy: rises from the untrained value. Broken: near 1, where
    views of different images cannot be told from views of one image. The modules keep their
    modes.
    """
    bench = Bench(normalization, device, batch_size=max(1, _VIEWS_AT_ONCE // _LIDAR_VIEWS))
    features, _ = features_of(backbone, views, bench)
    yield "lidar", lidar(features.unflatten(0, (len(views), _LIDAR_VIEWS)).transpose(0, 1)).item()


class TrainingViews(EvaluationImages):
    """Views of some of a dataset's images, as training sees them.

    The views of one image are consecutive rows. Small sets are kept in memory, so that a run cuts
    its views once.
    """

    def __init__(self, dataset: ImageDataset, config: ViewsConfig) -> None:
        """Chooses images of a dataset and reads none yet. Local views are left out."""
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
        # Training rounds colours to uint8 too, before it normalises them.
        return self._photometry.colors(
            self._photometry(batch.global_views, batch.global_photometry)
        )
