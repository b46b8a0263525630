"""Image retrieval on revisited Oxford and Paris (arXiv 1803.11285), settings Medium and Hard.

In: a backbone and a benchmark in its published layout. Out: an ``EvaluationReport`` and a picture
of queries with their nearest images. Next: ``poise evaluate retrieval``.

Protocol ``retrieval/revisited-v1``: images keep their own proportions. Features are L2-normalised.
The whole database is ranked by cosine. Each query is cropped to its box, by the rules of the
benchmark. DINO's published evaluation uses whole query images instead: at 224 px for Oxford, and at
512 px with three scales for Paris. The options ``--whole-queries``, ``--image-px`` and
``--multiscale`` reproduce that evaluation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.evaluation.neighbours.average_precision import CUTOFFS, RankingScores, score_rankings
from poise.evaluation.neighbours.landmark_images import OwnShapeImages, WholePatches
from poise.evaluation.neighbours.landmarks import Landmarks, Lists
from poise.evaluation.neighbours.mean_figure import mean_figure
from poise.evaluation.neighbours.ranking_pictures import Mark, Ranked, Ranking, draw_rankings
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.thumbnails import thumbnails
from poise.evaluation.report import EvaluationReport, EvaluationTask, Figure

PROTOCOL = "retrieval/revisited-v1"
PICTURE = "nearest-images.png"
DEFAULT_PX = 224
SETTINGS = ("medium", "hard")

_DRAWN_QUERIES, _DRAWN_NEAREST = 8, 8
_THUMBNAIL_PX = 96


@dataclass(frozen=True)
class LandmarkProtocol:
    """Settings that may differ between evaluations. The defaults are those of the protocol."""

    image_px: int = DEFAULT_PX
    """Largest length of an image's longer side in pixels."""

    whole_queries: bool = False
    """Whether whole query images are used, and not only the boxes with the landmark."""

    multiscale: bool = False
    """Whether features of three scales are averaged."""

    @property
    def changed(self) -> tuple[str, ...]:
        """Settings that differ from the protocol, as command-line options."""
        flags = {"--whole-queries": self.whole_queries, "--multiscale": self.multiscale}
        size = () if self.image_px == DEFAULT_PX else (f"--image-px={self.image_px}",)
        return (*size, *(flag for flag, is_set in flags.items() if is_set))


def measure_landmarks(
    task: EvaluationTask, landmarks: Landmarks, protocol: LandmarkProtocol
) -> EvaluationReport:
    """Measures how well a backbone finds photographs of the same building.

    Healthy: ``map_medium`` is several tens of percent. The published DINO ViT-S/16, trained on
    ImageNet, reaches 41.8 % on Oxford and 63.1 % on Paris. Broken: ``map_medium`` is a few percent,
    as for an untrained backbone.

    Args:
        task: task with the model. Its dataset is ``landmarks.files``.
        landmarks: benchmark to measure.
        protocol: settings for the images.

    Raises:
        PoiseError: ``max_images`` is set, although the benchmark has a fixed list of images, or the
            backbone accepts images of one size only.
    """
    if task.max_images is not None:
        raise PoiseError(
            f"--max-images {task.max_images}: {task.dataset.folder} is a benchmark with a fixed "
            "list of images; leave the option out"
        )
    features = _features(task, landmarks, protocol)
    ranks = rank(features[: landmarks.num_database], features[landmarks.num_database :])
    scores = {
        name: score_rankings(ranks, *zip(*landmarks.lists(name), strict=True)) for name in SETTINGS
    }
    rankings = list(_rankings(landmarks, ranks, scores["medium"]))
    draw_rankings(task.folder / PICTURE, rankings, "Medium; a dash marks images that do not count")
    return EvaluationReport(
        protocol=PROTOCOL,
        changed=protocol.changed,
        dataset=str(task.dataset.folder),
        dataset_name=task.dataset.manifest.name,
        image_px=0,
        num_images=len(features),
        figures_found=tuple(figure for name in SETTINGS for figure in _figures(name, scores[name])),
        notes=(f"The longest side of an image is {protocol.image_px} px.",),
        pictures=(PICTURE,),
    )


def rank(database: Tensor, queries: Tensor) -> NDArray[np.int64]:
    """Ranks the database images by their similarity to each query.

    Args:
        database: features of m images, [m, D].
        queries: features of q queries, [q, D].

    Returns:
        Indices of database images [m, q]. A column contains the ranking of one query, which begins
        with the most similar image.
    """
    cosines = queries @ database.T
    order: NDArray[np.int64] = cosines.argsort(dim=1, descending=True, stable=True).T.cpu().numpy()
    return order


def _features(task: EvaluationTask, landmarks: Landmarks, protocol: LandmarkProtocol) -> Tensor:
    boxes = {} if protocol.whole_queries else {
        landmarks.num_database + number: query.bbx
        for number, query in enumerate(landmarks.truth.gnd)
    }  # fmt: skip
    images = OwnShapeImages(task.dataset, protocol.image_px, boxes)
    module: nn.Module = WholePatches(task.backbone, protocol.multiscale)
    bench = replace(task.bench, batch_size=1)
    return torch.cat([outputs["features"] for outputs, _ in image_pass(module, images, bench)])


def _figures(setting: str, scores: RankingScores) -> Iterator[Figure]:
    known = ~np.isnan(scores.average_precision)
    if not known.any():
        return
    yield mean_figure(f"map_{setting}", scores.average_precision[known])
    for cutoff, column in zip(CUTOFFS, scores.precision.T, strict=True):
        yield mean_figure(f"precision_at_{cutoff}_{setting}", column[known])


def _rankings(
    landmarks: Landmarks, ranks: NDArray[np.int64], scores: RankingScores
) -> Iterator[Ranking]:
    """Yields some queries with their nearest images, for the picture.

    The queries are evenly spaced in the order from the best to the worst result.
    """
    ordered = np.argsort(-scores.average_precision, kind="stable")  # NaN comes last
    ordered = ordered[: int((~np.isnan(scores.average_precision)).sum())]
    steps = np.linspace(0, len(ordered) - 1, min(_DRAWN_QUERIES, len(ordered)))
    lists = landmarks.lists("medium")
    for query in ordered[steps.round().astype(int)].tolist():
        nearest = ranks[:_DRAWN_NEAREST, query].tolist()
        shown = [landmarks.num_database + query, *nearest]
        picture, *images = thumbnails(landmarks.files, shown, _THUMBNAIL_PX)
        ranked = [
            Ranked(image, landmarks.truth.imlist[other][-18:], _mark(lists[query], other))
            for image, other in zip(images, nearest, strict=True)
        ]
        precision = 100 * float(scores.average_precision[query])
        name = landmarks.truth.qimlist[query][-18:]
        yield Ranking(picture, f"{name}\nAP {precision:.0f} %", ranked)


def _mark(lists: Lists, image: int) -> Mark:
    return Mark.IGNORED if image in lists.junk else Mark.of(image in lists.relevant)
