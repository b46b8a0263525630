"""Files of `poise evaluate attention`: statistics and pictures.

In: models and reports of their attention. Out: files, logged to the runs that trained the models.
Next: ``poise.cli.evaluate.attention``, which prints the folder of the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poise.cli.evaluate.options import register_figures
from poise.evaluation.measurement import as_name

if TYPE_CHECKING:
    from poise.cli.evaluate.models import NamedModel
    from poise.data.dataset import ImageDataset
    from poise.evaluation.tokens.attention import AttentionReport


def keep_attention(
    reports: Sequence[tuple[NamedModel, AttentionReport]],
    dataset: ImageDataset,
    sample_ids: list[int],
    out: Path,
) -> list[dict[str, Any]]:
    """Writes the files of every model and a picture that compares the models, and logs all files.

    Args:
        reports: pairs of a model and its report.
        dataset: dataset of the measurement.
        sample_ids: ids of the images for which maps are drawn.
        out: folder for the files. It is created if needed. Each model gets a folder in it.

    Returns:
        A dict for each model, ready for JSON. It describes the model's files.
    """
    from poise.evaluation.tokens.attention_pictures import draw_statistics

    curves = out / "statistics.png"
    out.mkdir(parents=True, exist_ok=True)
    draw_statistics(curves, {model.label: report for model, report in reports})
    return [
        _keep(model, report, dataset, sample_ids, curves, out / model.label)
        for model, report in reports
    ]


def _keep(
    model: NamedModel,
    report: AttentionReport,
    dataset: ImageDataset,
    sample_ids: list[int],
    curves: Path,
    folder: Path,
) -> dict[str, Any]:
    """Writes the files of one model, logs them to the model's run, and describes them in a dict.

    Registered versions of the model get some values of the last block.
    """
    from poise.evaluation.tokens.files import points, write_statistics
    from poise.evaluation.tokens.last_block import LastBlock
    from poise.tracking.evaluation import log_evaluation

    folder.mkdir(exist_ok=True)
    files = write_statistics(folder, model.reference, report)
    files += _draw(model, report, dataset, sample_ids, folder)
    if model.run_id:
        name = f"attention/{as_name(dataset.manifest.name)}"
        log_evaluation(model.run_id, points(report, name), [*files, curves], name)
        found = LastBlock.of(report, dataset.manifest.name)
        register_figures(model.run_id, model.package, found)
    return {
        "model": model.reference,
        "label": model.label,
        "run_id": model.run_id,
        "files": [str(path) for path in [*files, curves]],
        **asdict(report),
    }


def _draw(
    model: NamedModel,
    report: AttentionReport,
    dataset: ImageDataset,
    sample_ids: list[int],
    folder: Path,
) -> list[Path]:
    import numpy as np
    import torch

    from poise.evaluation.reading.images import EvaluationImages
    from poise.evaluation.tokens.attention_pictures import draw_blocks, draw_heads
    from poise.evaluation.tokens.maps import draw_attention
    from poise.evaluation.tokens.norm_pictures import draw_norms

    ids = np.array(sample_ids, dtype=np.int64)
    images, _ = next(EvaluationImages(dataset, report.image_px, sample_ids=ids).batches(len(ids)))
    paths = [folder / f"{name}.png" for name in ("heads", "norms", "blocks", "last-block")]
    draw_heads(paths[0], report)
    draw_norms(paths[1], report)
    shown = (model.backbone, images, model.normalization, torch.device("cpu"))
    draw_blocks(paths[2], *shown, titles=[f"sample {each}" for each in ids])
    draw_attention(paths[3], *shown)
    return paths
