"""Opens the two labelled datasets of k-NN and of the ridge probe: the bank and the queries.

In: folders of prepared datasets, which are checked before any other work. Out: their images, then
their features. Next: ``poise.evaluation.neighbours.knn`` and ``poise.evaluation.neighbours.ridge``.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.locations import AnyLocation
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest, check_same_ranges
from poise.evaluation.answers_per_image import digest_of
from poise.evaluation.neighbours.samples import BankAndQueries
from poise.evaluation.reading.features import features_of
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench


@dataclass(frozen=True)
class KnnSets:
    """Images of the bank and images of the queries. The bank votes for the class of each query.

    ``shared`` means that both come from one dataset. Then the image of a query does not vote for
    its own class (leave-one-out).
    """

    bank: EvaluationImages
    queries: EvaluationImages
    num_classes: int
    shared: bool

    @property
    def num_images(self) -> int:
        """Number of images that ``features`` passes through the backbone."""
        return len(self.bank) + (0 if self.queries is self.bank else len(self.queries))

    def digest(self, settings: str = "") -> str:
        """Computes a digest of the images. Answers can be compared only if it is equal.

        Args:
            settings: settings that change the answers and are not in the name of the metric.
        """
        both = (self.queries, self.bank)
        sets = ((each.manifest.fingerprint, each.sample_ids) for each in both)
        return digest_of(*sets, settings=settings)

    def features(self, backbone: nn.Module, bench: Bench) -> BankAndQueries:
        """Computes the features of bank and queries.

        If both have the same images, one pass is enough.

        Images without a label are left out.
        """
        bank = _labelled(self.bank, *features_of(backbone, self.bank, bench))
        queries = bank
        if self.queries is not self.bank:
            queries = _labelled(self.queries, *features_of(backbone, self.queries, bench))
        own_rows = _rows_of(queries.sample_ids, bank.sample_ids) if self.shared else None
        return BankAndQueries(
            bank.features, bank.labels, queries.features, queries.labels, self.num_classes, own_rows
        )


def check_knn_sets(queries: AnyLocation, bank: AnyLocation) -> tuple[Manifest, Manifest]:
    """Checks that two datasets are suitable for a k-NN probe, and returns their manifests.

    Raises:
        PoiseError: a dataset is not prepared or has no labels, or the two datasets differ in their
            classes or in the range of their values.
    """
    manifests = Manifest.read(queries), Manifest.read(bank)
    for folder, manifest in zip((queries, bank), manifests, strict=True):
        check_labelled(folder, manifest, "k-NN compares labels")
    if manifests[0].classes != manifests[1].classes:
        raise PoiseError(
            f"{queries} has {describe_classes(manifests[0])} but the bank {bank} has "
            f"{describe_classes(manifests[1])}; k-NN needs the same classes in the same order"
        )
    check_same_ranges(bank, queries)
    return manifests


def check_labelled(folder: AnyLocation, manifest: Manifest, why: str) -> None:
    """Raises an error if a dataset has no labels.

    Args:
        folder: folder of the dataset.
        manifest: manifest of the dataset.
        why: reason why labels are needed, for the message.

    Raises:
        PoiseError: the dataset has no labels.
    """
    if not manifest.classes:
        raise PoiseError(
            f"{folder}: has no labels, and {why}; "
            "prepare it from a folder of class folders, or choose another dataset"
        )


def open_knn_sets(
    queries: AnyLocation,
    bank: AnyLocation,
    image_px: int,
    max_queries: int | None = None,
    max_bank: int | None = None,
    rereads: bool = True,
) -> KnnSets:
    """Opens and checks both datasets.

    Args:
        queries: folder of the queries.
        bank: folder of the bank.
        image_px: side of the images in pixels.
        max_queries: largest number of queries, chosen at random with seed 0. None takes all.
        max_bank: largest number of images of the bank, likewise.
        rereads: whether the images are read several times. If so, they stay in memory as far as
            they fit.

    Raises:
        PoiseError: see ``check_knn_sets``.
    """
    query_manifest, bank_manifest = check_knn_sets(queries, bank)
    bank_images = _images(bank, image_px, max_bank, rereads)
    query_images = _images(queries, image_px, max_queries, rereads)
    shared = query_manifest.fingerprint == bank_manifest.fingerprint
    if shared and np.array_equal(bank_images.sample_ids, query_images.sample_ids):
        query_images = bank_images
    return KnnSets(bank_images, query_images, len(bank_manifest.classes), shared)


def _images(
    folder: AnyLocation, image_px: int, limit: int | None, rereads: bool
) -> EvaluationImages:
    if rereads:
        return EvaluationImages(ImageDataset.open(folder), image_px, limit)
    return EvaluationImages.for_one_pass(ImageDataset.for_one_pass(folder), image_px, limit)


class _Labelled(NamedTuple):
    features: Tensor
    labels: Tensor
    sample_ids: NDArray[np.int64]


def _labelled(images: EvaluationImages, features: Tensor, labels: Tensor) -> _Labelled:
    known = labels >= 0
    if not known.any():
        raise PoiseError(f"{images.folder}: none of its images has a label, and k-NN needs them")
    sample_ids = images.sample_ids[known.numpy()]
    return _Labelled(features[known.to(features.device)], labels[known], sample_ids)


def _rows_of(sample_ids: NDArray[np.int64], bank_ids: NDArray[np.int64]) -> Tensor:
    rows = np.minimum(np.searchsorted(bank_ids, sample_ids), len(bank_ids) - 1)
    return torch.from_numpy(np.where(bank_ids[rows] == sample_ids, rows, -1))


def describe_classes(manifest: Manifest) -> str:
    """Returns a text with the number of a dataset's classes and the names of the first three."""
    shown = ", ".join(manifest.classes[:3])
    more = ", …" if len(manifest.classes) > 3 else ""
    return f"{len(manifest.classes)} classes ({shown}{more})"
