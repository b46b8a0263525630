"""Searches a database for the originals of copies, and scores the places of the originals.

In: descriptors of a database and of copies. Out: places, scores and metrics. Next:
``poise.evaluation.neighbours.copy_detection`` and
``poise.evaluation.neighbours.copydays_detection``.

As in the published evaluation, only the 20 most similar images of a copy count. Copies are compared
with the database in blocks, so memory contains only a few rows of the similarity matrix.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.evaluation.bootstrap import resampled_interval
from poise.evaluation.neighbours.average_precision import average_precision
from poise.evaluation.neighbours.descriptors import Whitening, unit
from poise.evaluation.neighbours.mean_figure import mean_figure
from poise.evaluation.report import Figure

NUM_CANDIDATES = 20
IMAGES_PER_AXIS = 2
"""Least number of images per dimension of the descriptor that a whitening is learned on."""

_BLOCK_ELEMENTS = 2**24  # similarities in memory at once: 64 MiB
_RESAMPLES = 200  # few, because each resample sorts all candidates

Described = dict[str, Tensor]
"""Vectors of n images, float32 [n, D], by name: ``descriptors`` come from the backbone, and
``pixels`` are the baseline.
"""


@dataclass(frozen=True)
class CopyBlock:
    """Group of q copies of one kind, such as JPEG compression of one quality."""

    name: str
    described: Described
    originals: NDArray[np.int64]
    """Row of each copy's original in the database, [q]."""


@dataclass(frozen=True)
class CopySearch:
    """Database, copies whose originals are searched in it, and images to learn a whitening."""

    database: Described
    blocks: Sequence[CopyBlock]
    others: Tensor | None = None
    """Descriptors of images that are neither copies nor originals. None skips whitening."""

    @property
    def can_whiten(self) -> bool:
        """Whether there are enough other images to learn a whitening."""
        if self.others is None:
            return False
        count, axes = self.others.shape
        return count >= IMAGES_PER_AXIS * axes

    @property
    def whitening_notes(self) -> tuple[str, ...]:
        """Note that says that there are too few images to learn a whitening; else empty."""
        if self.others is None or self.can_whiten:
            return ()
        count, axes = self.others.shape
        return (
            f"No whitened figures: whitening of {axes} axes is learned on images without copies, "
            f"and {count} are fewer than {IMAGES_PER_AXIS * axes}.",
        )


@dataclass(frozen=True)
class Candidates:
    """The k most similar database images of each of q copies."""

    nearest: Tensor
    """Rows of the images in the database, int64 [q, k], the most similar first."""

    similarities: Tensor
    """Cosine similarities of the copies and their candidates, float32 [q, k]."""


@dataclass(frozen=True)
class BlockResult:
    """Copies of one kind, and the most similar database images of each copy."""

    block: CopyBlock
    candidates: Candidates

    @property
    def is_original(self) -> NDArray[np.bool_]:
        """Whether each candidate is the original of its copy, [q, k]."""
        nearest: NDArray[np.int64] = self.candidates.nearest.numpy()
        found: NDArray[np.bool_] = nearest == self.block.originals[:, None]
        return found

    @property
    def average_precision(self) -> NDArray[np.float64]:
        """Average precision of each of the q copies, from 0 to 1: float64 [q].

        Average precision is 1 if the first candidate is the original of the copy, and 0 if no
        candidate is.
        """
        places = (np.flatnonzero(row) for row in self.is_original)
        return np.array([average_precision(place, 1) for place in places], dtype=np.float64)


def find_candidates(database: Tensor, queries: Tensor) -> Candidates:
    """Finds the database images with the highest cosine similarity to each query.

    Args:
        database: descriptors of m images, [m, D].
        queries: descriptors of q queries, [q, D].
    """
    found, bank = [], unit(database)
    count = min(NUM_CANDIDATES, len(bank))
    for part in unit(queries).split(max(1, _BLOCK_ELEMENTS // len(bank))):
        best = (part @ bank.T).topk(count, dim=1)
        found.append((best.indices.cpu(), best.values.cpu()))
    return Candidates(*map(torch.cat, zip(*found, strict=True)))


def micro_average_precision(
    similarities: NDArray[np.float32], is_original: NDArray[np.bool_]
) -> float:
    """Computes µAP (arXiv 2106.09672), the average precision of one list of candidates.

    The list contains the candidates of all copies, sorted by similarity. So µAP is high only if one
    threshold on the similarity is right for every copy.

    Args:
        similarities: similarity of each candidate, [q, k].
        is_original: whether each candidate is the original, [q, k]. Each row has at most one True.

    Returns:
        0 (no original is a candidate) to 1 (all originals come before all other images).
    """
    order = np.argsort(-similarities.ravel(), kind="stable")
    right = is_original.ravel()[order]
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    return float(precision[right].sum() / len(is_original))


def all_results(search: CopySearch) -> dict[str, list[BlockResult]]:
    """Searches for the original of every copy by descriptors, whitened descriptors and pixels.

    Returns:
        A dict with three searches: ``""`` (descriptors), ``whitened_`` (whitened descriptors) and
        ``pixels_``. These keys become prefixes of metric names. Each search has one result per
        block of copies. ``whitened_`` is left out if there are too few images to learn the
        whitening.
    """
    ways: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {"": ("descriptors", unit)}
    if search.others is not None and search.can_whiten:
        ways["whitened_"] = ("descriptors", Whitening.learned_on(search.others))
    mean = search.database["pixels"].mean(dim=0)
    ways["pixels_"] = ("pixels", lambda pixels: pixels - mean)
    return {prefix: list(_results(search, *way)) for prefix, way in ways.items()}


def _results(
    search: CopySearch, name: str, change: Callable[[Tensor], Tensor]
) -> Iterator[BlockResult]:
    database = change(search.database[name])
    for block in search.blocks:
        yield BlockResult(block, find_candidates(database, change(block.described[name])))


def figures_of(results: dict[str, list[BlockResult]]) -> Iterator[Figure]:
    """Yields metrics in percent: for all copies together, then for each kind of copy."""
    for prefix, blocks in results.items():
        yield _overall(f"{prefix}map", blocks)
        yield _micro(f"{prefix}micro_ap", blocks)
    for prefix, blocks in results.items():
        for each in blocks:
            yield mean_figure(f"{prefix}map_{each.block.name}", each.average_precision)


def _overall(name: str, blocks: Sequence[BlockResult]) -> Figure:
    """Computes the mean average precision of all copies, with its interval over originals.

    Copies of one original depend on each other. So the interval uses one mean per original.
    """
    originals = np.concatenate([each.block.originals for each in blocks])
    precision = np.concatenate([each.average_precision for each in blocks])
    _, groups = np.unique(originals, return_inverse=True)
    per_original = np.bincount(groups, precision) / np.bincount(groups)
    found = mean_figure(name, per_original)
    return Figure(name, float(100 * precision.mean()), low=found.low, high=found.high)


def _micro(name: str, blocks: Sequence[BlockResult]) -> Figure:
    similarities: NDArray[np.float32] = np.concatenate(
        [each.candidates.similarities.numpy() for each in blocks]
    )
    right = np.concatenate([each.is_original for each in blocks])
    originals = np.concatenate([each.block.originals for each in blocks])
    rows = {key: np.flatnonzero(originals == key) for key in np.unique(originals)}

    def of(chosen: NDArray[np.int64]) -> float:
        copies = np.concatenate([rows[key] for key in chosen])
        return 100 * micro_average_precision(similarities[copies], right[copies])

    every = np.array(list(rows), dtype=np.int64)
    low, high = resampled_interval([every], of, _RESAMPLES) if len(every) > 1 else (None, None)
    return Figure(name, of(every), low=low, high=high)
