"""Evaluates the outlier patches and registers of one model.

In: an ``EvaluationTask``. Out: an ``EvaluationReport``, pictures and a table of blocks. Next:
``poise evaluate registers``.

Source: registers (arXiv 2309.16588). Memory does not grow with the number of images: norms are
counted in histograms, and tokens are kept for at most 2048 images.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from poise.diagnostics.patches import outlier_share
from poise.evaluation.outliers.background import background_of
from poise.evaluation.outliers.files import BlockRow, block_rows, first_block, write_blocks
from poise.evaluation.outliers.outlier_positions import (
    background_figures,
    figure,
    place_figures,
    places_concentration,
)
from poise.evaluation.outliers.pictures import draw_pictures
from poise.evaluation.outliers.probes import probe_tokens
from poise.evaluation.outliers.threshold import PUBLISHED_LIMIT, Threshold, outlier_mask
from poise.evaluation.outliers.token_pass import Reading, read_tokens
from poise.evaluation.report import EvaluationReport, EvaluationTask, Figure

PROTOCOL: Final = "registers/poise-v1"

BLOCKS_FILE: Final = "blocks.csv"

_RARE_BELOW = 0.1  # published outliers are 2.4 % of the patches


def measure_registers(task: EvaluationTask) -> EvaluationReport:
    """Measures how many patches are outliers, after which blocks, where, and what they contain.

    Healthy: norms form one group, so there are no outliers. Or only registers have large norms and
    predict the class, while patches keep their position and pixels. Broken: 1 % or more of the
    patches are outliers on flat background. They have lost their position and pixels and predict
    the class of the image. Then add registers (``backbone.num_registers``).

    Raises:
        PoiseError: the dataset has no images.
        NotFiniteError: a norm or a token is NaN or infinite.
    """
    reading = read_tokens(task)
    rows = block_rows(reading)
    threshold = rows[-1].threshold
    held = probe_tokens(reading.sample, threshold, reading.grid, len(task.dataset.manifest.classes))
    write_blocks(task.folder / BLOCKS_FILE, rows)
    pictures, left_out = draw_pictures(task, reading, rows)
    return EvaluationReport(
        protocol=PROTOCOL,
        changed=(),
        dataset=str(task.dataset.folder),
        dataset_name=task.dataset.manifest.name,
        image_px=task.image_px,
        num_images=reading.norms.counts.num_images,
        figures_found=(
            *_shares(reading, threshold),
            *_norms(rows),
            *_places(task, reading, threshold),
            *held.figures,
        ),
        notes=(
            _finding(rows),
            *_doubts(reading, threshold),
            *held.notes,
            *left_out,
            *_sampled(reading),
        ),
        pictures=(BLOCKS_FILE, *pictures),
    )


def _shares(reading: Reading, threshold: Threshold) -> Iterator[Figure]:
    """Yields shares of outliers by three limits on the norm.

    The limits are the measured threshold, the published norm of 150, and the rule that training
    uses for its logs.
    """
    counts = reading.norms.counts
    yield figure("outlier_share", _percent(counts.share(threshold)))
    yield figure("outlier_images", _percent(counts.share_of_images(threshold)))
    yield Figure("share_above_150", 100 * counts.share_above_published)
    yield Figure("share_by_training_rule", 100 * outlier_share(reading.sample.norms).item())


def _norms(rows: Sequence[BlockRow]) -> Iterator[Figure]:
    """Yields metrics of norms after the last block, and ``first_block``.

    ``first_block`` is the smallest number such that all blocks from this number on have outliers.
    """
    threshold = rows[-1].threshold
    yield Figure("norm_median", threshold.median, "")
    yield Figure("norm_largest", rows[-1].quantiles["max"], "")
    if threshold.outlier is not None and threshold.separation is not None:
        yield Figure("norm_limit", threshold.limit, "")
        yield Figure("norm_outlier", threshold.outlier, "")
        yield Figure("norm_separation", threshold.separation, "")
        yield Figure("first_block", float(first_block(rows)), "")
    for name, norm in rows[-1].prefix.items():
        yield Figure(f"norm_{name}", norm, "")


def _places(task: EvaluationTask, reading: Reading, threshold: Threshold) -> Iterator[Figure]:
    sample = reading.sample
    yield from place_figures(sample, threshold)
    if threshold.found:
        yield places_concentration(reading.norms.counts.heat_map(threshold))
    patch_px = task.image_px // reading.grid[0]
    background = background_of(task.dataset, sample.sample_ids, task.image_px, patch_px)
    if background is not None:
        yield from background_figures(background, outlier_mask(sample.norms, threshold))


def _percent(interval: tuple[float, float, float]) -> tuple[float, float, float]:
    value, low, high = interval
    return 100 * value, 100 * low, 100 * high


def _finding(rows: Sequence[BlockRow]) -> str:
    """Returns one or two sentences that say whether there are outliers."""
    threshold = rows[-1].threshold
    if not threshold.found:
        return (
            "Norms of patches form one group: no outliers. The largest norm is "
            f"{rows[-1].quantiles['max'] / threshold.median:.1f} times the median."
        )
    text = (
        f"Norms of patches form two groups: those above {threshold.limit:.4g} are outliers, from "
        f"block {first_block(rows)} of {len(rows)} on."
    )
    if not threshold.median < PUBLISHED_LIMIT < (threshold.outlier or 0):
        text += (
            f" The published limit of {PUBLISHED_LIMIT:.0f} was set by hand for one model and does "
            "not separate the groups of this one."
        )
    return text


def _doubts(reading: Reading, threshold: Threshold) -> Iterator[str]:
    """Yields a warning if so many patches are outliers that they may be an ordinary group."""
    share, _, _ = reading.norms.counts.share(threshold)
    if share > _RARE_BELOW:
        yield (
            f"{100 * share:.0f} % of the patches are above the limit, but outliers are rare (2.4 % "
            "in the paper on registers). The two groups may be objects and a flat background; look "
            "at the maps."
        )


def _sampled(reading: Reading) -> tuple[str, ...]:
    num_images, sampled = reading.norms.counts.num_images, len(reading.sample)
    if sampled == num_images:
        return ()
    return (
        f"Places and contents are of {sampled} images, evenly spread over the dataset; norms are "
        f"of all {num_images}.",
    )
