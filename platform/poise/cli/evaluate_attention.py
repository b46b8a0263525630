"""`poise evaluate attention`: where the tokens of models look, block by block.

In: models and a prepared dataset. Out: tables, files and pictures, kept with the runs that made
the models. Nothing comes after it.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.console import print_table
from poise.cli.measuring import JsonOption, image_progress, normalization_of
from poise.config.errors import PoiseError
from poise.evaluation.naming import as_name

if TYPE_CHECKING:
    from torch import nn

    from poise.data.dataset import ImageDataset
    from poise.evaluation.attention import AttentionReport

_DRAWN_IMAGES = 4  # by default: what one can take in

_COLUMNS = (
    ("cls_cls_attention", "cls→cls"),
    ("cls_register_mass", "cls→reg"),
    ("cls_pos_entropy_over_ln_n", "cls H/ln N"),
    ("cls_magnitude", "cls y/x"),
    ("pos_cls_attention", "patch→cls"),
    ("pos_register_mass", "patch→reg"),
    ("pos_self_attention", "patch→self"),
    ("pos_pos_entropy_over_ln_n", "patch H/ln N"),
    ("pos_magnitude", "patch y/x"),
)


@dataclass(frozen=True)
class _Model:
    """A model that was named, before it is measured."""

    reference: str
    label: str
    """Tells it from the others, in the legend and as a folder."""

    backbone: "nn.Module"
    normalization: tuple[list[float], list[float]]
    image_px: int
    run_id: str | None
    """The run that made it, where it is known here."""


def attention(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL", help="Folders of backbone packages, or models:/NAME/VERSION."
        ),
    ],
    dataset: Annotated[str, typer.Argument(help="Prepared dataset; labels are not needed.")],
    max_images: Annotated[
        int | None,
        typer.Option(min=1, help="Most images to measure, drawn at random; default: all."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="Sample ids to draw maps of, such as 3,17; default: four, evenly spread."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for files and pictures; default: attention-DATASET."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure where tokens look, per block and head (protocol attention/beyond-cls-v1).

    Writes statistics as JSON and CSV, curves over blocks for all models in one picture, and maps
    of heads and blocks; all of it is also kept with the runs that made the models.

    Example: poise evaluate attention models:/shapes-dino/1 models:/shapes-mae/1 data/shapes-test
    """
    from poise.data.dataset import ImageDataset

    opened = ImageDataset.open(dataset)
    sample_ids = _sample_ids(images, len(opened), dataset)
    named = [_open(reference, label) for reference, label in _labels(models).items()]
    out = out or Path(f"attention-{as_name(opened.manifest.name)}")
    reports = _measure(named, opened, max_images)
    described = _keep_all(reports, opened, sample_ids, out)
    if as_json:
        print(json.dumps({"out": str(out), "models": described}, indent=2))
        return
    for model, report in reports:
        _print(model, report)
    print(f"files     {out}")


def _labels(references: Sequence[str]) -> dict[str, str]:
    """Short names that tell models apart: the ends of their references, as long as needed."""
    twice = {each for each in references if references.count(each) > 1}
    if twice:
        raise PoiseError(f"{', '.join(sorted(twice))}: named twice; once is enough")
    parts = {
        each: [part for part in re.split(r"[/\\]", each.removeprefix("models:/")) if part]
        for each in references
    }
    for length in range(1, max(map(len, parts.values())) + 1):
        labels = {each: as_name("-".join(ends[-length:])) for each, ends in parts.items()}
        # A version's number alone is no name.
        if len(set(labels.values())) == len(labels) and not any(map(str.isdigit, labels.values())):
            break
    if len(set(labels.values())) < len(labels):
        raise PoiseError(f"{', '.join(references)}: rename one; their files would share a folder")
    return labels


def _open(reference: str, label: str) -> _Model:
    from poise.models.attention import num_blocks
    from poise.tracking.evaluation import find_maker
    from poise.tracking.fetch import load_model

    backbone, config = load_model(reference)
    try:
        num_blocks(backbone)
    except PoiseError as error:
        raise PoiseError(f"{reference}: {error}") from None
    return _Model(
        reference=reference,
        label=label,
        backbone=backbone,
        normalization=normalization_of(config, reference),
        image_px=config.get("evaluation_px") or config["image_px"],
        run_id=find_maker(config),
    )


def _sample_ids(written: str | None, num_samples: int, dataset: str) -> list[int] | None:
    if written is None:
        return None
    try:
        ids = sorted({int(each) for each in written.split(",")})
    except ValueError:
        raise PoiseError(f"--images {written}: write sample ids such as 3,17") from None
    beyond = [each for each in ids if not 0 <= each < num_samples]
    if beyond:
        raise PoiseError(
            f"--images {written}: {dataset} has samples 0 to {num_samples - 1}, not {beyond[0]}"
        )
    return ids


def _measure(
    models: Sequence[_Model], dataset: "ImageDataset", max_images: int | None
) -> "list[tuple[_Model, AttentionReport]]":
    """Models that see the same images share them, decoded once where they fit in memory."""
    import torch

    from poise.evaluation.attention import report_attention
    from poise.evaluation.images import EvaluationImages

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sets: dict[int, EvaluationImages] = {}
    reports = []
    for model in models:
        px = model.image_px
        images = sets.setdefault(px, EvaluationImages(dataset, px, max_images))
        with image_progress(len(images), model.label) as on_images:
            report = report_attention(
                model.backbone.to(device), images, model.normalization, device, on_images
            )
        model.backbone.cpu()
        reports.append((model, report))
    return reports


def _keep_all(
    reports: "Sequence[tuple[_Model, AttentionReport]]",
    dataset: "ImageDataset",
    sample_ids: list[int] | None,
    out: Path,
) -> list[dict[str, Any]]:
    """Writes and logs every model's files, and the picture that compares them."""
    from poise.evaluation.attention_pictures import draw_statistics

    curves = out / "statistics.png"
    out.mkdir(parents=True, exist_ok=True)
    draw_statistics(curves, {model.label: report for model, report in reports})
    return [
        _keep(model, report, dataset, sample_ids, curves, out / model.label)
        for model, report in reports
    ]


def _keep(
    model: _Model,
    report: "AttentionReport",
    dataset: "ImageDataset",
    sample_ids: list[int] | None,
    curves: Path,
    folder: Path,
) -> dict[str, Any]:
    """Writes a model's files, logs them to its run, and describes both."""
    from poise.evaluation.attention_files import points, write_statistics
    from poise.tracking.evaluation import log_evaluation

    folder.mkdir(exist_ok=True)
    files = write_statistics(folder, model.reference, report)
    files += _draw(model, report, dataset, sample_ids, folder)
    if model.run_id:
        name = f"attention/{as_name(dataset.manifest.name)}"
        log_evaluation(model.run_id, points(report, name), [*files, curves], name)
    return {
        "model": model.reference,
        "label": model.label,
        "run_id": model.run_id,
        "files": [str(path) for path in [*files, curves]],
        **asdict(report),
    }


def _draw(
    model: _Model,
    report: "AttentionReport",
    dataset: "ImageDataset",
    sample_ids: list[int] | None,
    folder: Path,
) -> list[Path]:
    import numpy as np
    import torch

    from poise.evaluation.attention_pictures import draw_blocks, draw_heads
    from poise.evaluation.images import EvaluationImages
    from poise.evaluation.pictures import draw_attention

    if sample_ids is None:  # evenly spread: neighbours are often of one class
        spread = np.linspace(0, len(dataset) - 1, min(_DRAWN_IMAGES, len(dataset)))
        sample_ids = spread.round().astype(int).tolist()
    ids = np.array(sample_ids, dtype=np.int64)
    images, _ = next(EvaluationImages(dataset, report.image_px, sample_ids=ids).batches(len(ids)))
    paths = [folder / f"{name}.png" for name in ("heads", "blocks", "last-block")]
    draw_heads(paths[0], report)
    shown = (model.backbone, images, model.normalization, torch.device("cpu"))
    draw_blocks(paths[1], *shown, titles=[f"sample {each}" for each in ids])
    draw_attention(paths[2], *shown)
    return paths


def _print(model: _Model, report: "AttentionReport") -> None:
    print(f"protocol  {report.protocol}, images of {report.image_px} px")
    print(f"model     {model.reference}")
    print(f"run       {model.run_id or 'unknown here; nothing was logged'}")
    registers = f", {report.num_registers} registers" if report.num_registers else ""
    print(f"images    {report.num_images} of {report.dataset}")
    print(f"tokens    {report.num_patches} patches{registers}, {report.num_heads} heads\n")
    columns = [(name, title) for name, title in _COLUMNS if name in report.blocks[0]]
    print_table(
        ("block", *(title for _, title in columns)),
        [
            (number, *(float(f"{block[name].mean:.3g}") for name, _ in columns))
            for number, block in enumerate(report.blocks, start=1)
        ],
    )
    print()
