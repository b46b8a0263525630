"""`poise evaluate attention`: measures the attention of tokens in each block of models.

In: models and a prepared dataset. Out: tables, files and pictures, logged to the runs that trained
the models. Next: nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.completion import complete_dataset, complete_model_or_dataset
from poise.cli.console import print_table
from poise.cli.evaluate.attention_files import keep_attention
from poise.cli.evaluate.models import NamedModel, open_transformers
from poise.cli.evaluate.options import image_progress
from poise.cli.evaluate.output import print_origin
from poise.cli.output import Output, prints
from poise.config.errors import PoiseError
from poise.evaluation.measurement import as_name

if TYPE_CHECKING:
    from poise.data.dataset import ImageDataset
    from poise.evaluation.tokens.attention import AttentionReport

_DRAWN_IMAGES = 4

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
_NORM_COLUMNS = (
    ("pos_norm_q50", "patch q50"),
    ("pos_norm_q90", "q90"),
    ("pos_norm_q99", "q99"),
    ("pos_norm_max", "max"),
    ("pos_outlier_share", "outliers"),
    ("cls_norm", "cls"),
)

_ModelsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL",
        help="Folders of backbone packages, or models:/NAME/VERSION.",
        autocompletion=complete_model_or_dataset,
    ),
]
_DatasetArgument = Annotated[
    str,
    typer.Argument(
        help="Prepared dataset; labels are not needed.", autocompletion=complete_dataset
    ),
]


@prints
def attention(
    models: _ModelsArgument,
    dataset: _DatasetArgument,
    max_images: Annotated[
        int | None,
        typer.Option(min=1, help="Largest number of images, drawn at random. Default: all."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="Ids of the samples to draw maps of, such as 3,17. Default: four, evenly spread."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for files and pictures. Default: attention-DATASET."),
    ] = None,
) -> Output:
    """Measure the attention of tokens, per block and head (protocol attention/beyond-cls-v1).

    The command also measures the norms of tokens after each block, and the share of outlier
    patches.

    The command writes statistics as JSON and CSV, a picture that compares all models block by
    block, and maps of heads and blocks. The norms are in norms.csv and norms.png. All files are
    also logged to the runs that trained the models. Registered versions of these models get a few
    values of the last block.

    Example: poise evaluate attention models:/shapes-dino/1 models:/shapes-mae/1 data/shapes-test
    """
    from poise.data.dataset import ImageDataset

    opened = ImageDataset.for_one_pass(dataset)
    sample_ids = _sample_ids(images, len(opened), dataset)
    named = open_transformers(models)
    out = out or Path(f"attention-{as_name(opened.manifest.name)}")
    reports = _measure(named, opened, max_images)
    described = keep_attention(reports, opened, sample_ids, out)

    def show() -> None:
        for model, report in reports:
            _print(model, report)
        print(f"files     {out}")

    return Output(lambda: {"out": str(out), "models": described}, [str(out)], show)


def _sample_ids(written: str | None, num_samples: int, dataset: str) -> list[int]:
    if written is None:  # evenly spaced, because neighbouring images often have the same class
        drawn = min(_DRAWN_IMAGES, num_samples)
        return [round(number * (num_samples - 1) / max(1, drawn - 1)) for number in range(drawn)]
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
    models: Sequence[NamedModel], dataset: "ImageDataset", max_images: int | None
) -> "list[tuple[NamedModel, AttentionReport]]":
    """Measures each model. Models with the same image size share the decoded images."""
    import torch

    from poise.evaluation.reading.images import EvaluationImages
    from poise.evaluation.reading.inference import Bench
    from poise.evaluation.tokens.attention import report_attention

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sets: dict[int, EvaluationImages] = {}
    reports = []
    for model in models:
        px = model.image_px
        images = sets.setdefault(px, EvaluationImages(dataset, px, max_images))
        with image_progress(len(images), model.label) as on_images:
            bench = Bench(model.normalization, device, on_images=on_images)
            report = report_attention(model.backbone.to(device), images, bench)
        model.backbone.cpu()
        reports.append((model, report))
    return reports


def _print(model: NamedModel, report: "AttentionReport") -> None:
    print_origin(model.reference, model.run_id, report)
    registers = f", {report.num_registers} registers" if report.num_registers else ""
    print(f"images    {report.num_images} of {report.dataset}")
    print(f"tokens    {report.num_patches} patches{registers}, {report.num_heads} heads\n")
    means = [{name: found.mean for name, found in block.items()} for block in report.blocks]
    _print_blocks(_COLUMNS, means)
    print(f"\nnorms of tokens after each block, of {report.num_norm_images} images\n")
    numbers = range(1, report.num_registers + 1)
    of_registers = ((f"register_norm_{number}", f"reg {number}") for number in numbers)
    _print_blocks([*_NORM_COLUMNS, *of_registers], report.norms)
    print()


def _print_blocks(
    columns: Sequence[tuple[str, str]], blocks: Sequence[Mapping[str, float]]
) -> None:
    known = [(name, title) for name, title in columns if name in blocks[0]]
    print_table(
        ("block", *(title for _, title in known)),
        [
            (number, *(float(f"{block[name]:.3g}") for name, _ in known))
            for number, block in enumerate(blocks, start=1)
        ],
    )
