"""`poise evaluate`: how good a backbone's features are.

In: a model and labelled datasets. Out: figures with their protocol, for people or as JSON. Nothing
comes after it.
"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.console import print_table
from poise.cli.evaluate_attention import attention
from poise.cli.evaluate_probe import attentive, finetune, linear
from poise.cli.keeping import (
    accuracy_cells,
    keep_figures,
    other_dataset,
    pretraining_dataset,
    reads_over_ray,
)
from poise.cli.measuring import image_progress, normalization_of

if TYPE_CHECKING:
    from poise.evaluation.knn_report import KnnReport

app = typer.Typer(no_args_is_help=True)


@app.callback()
def evaluate() -> None:
    """Measure how good a backbone's features are."""


for command in (linear, attentive, finetune, attention):
    app.command()(command)


@app.command()
def knn(
    model: Annotated[
        str, typer.Argument(help="Folder of a backbone package, or models:/NAME/VERSION.")
    ],
    dataset: Annotated[str, typer.Argument(help="Labelled prepared dataset to classify.")],
    bank: Annotated[
        str | None,
        typer.Option(help="Labelled dataset that votes; default: what the model was trained on."),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="What to compare: cls, mean, cls_mean, last_4, cp1 … cp4, attn_lcte, attn_mn, "
            "pooled. May be given several times. Default: [cls], or what the model has instead."
        ),
    ] = None,
    k: Annotated[
        list[int], typer.Option(min=1, help="Neighbours that vote; may be given several times.")
    ] = [10, 20, 100, 200],  # noqa: B006 - typer reads it once, nobody changes it
    ray: Annotated[
        bool | None,
        typer.Option(help="Read images over Ray; default: on a cluster, or where it pays."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Classify images by their nearest neighbours' labels (protocol knn/dino-v1).

    Nothing is trained. If the dataset is the bank, each image is classified by the others
    (leave-one-out).

    Example: poise evaluate knn models:/shapes-vit/1 data/shapes-test --k 20
    """
    report, run_id = _measure(model, dataset, bank, list(dict.fromkeys(features or ())), k, ray)
    _tell(model, run_id, report, as_json)


def _measure(
    model: str, dataset: str, bank: str | None, features: list[str], k: list[int], ray: bool | None
) -> "tuple[KnnReport, str | None]":
    """The report, and the run that it was kept with."""
    import torch

    from poise.evaluation.knn_report import report_knn
    from poise.evaluation.sets import open_knn_sets
    from poise.tracking.fetch import load_model

    backbone, config = load_model(model)
    image_px = config.get("evaluation_px") or config["image_px"]
    sets = open_knn_sets(dataset, bank or pretraining_dataset(config, model, "--bank"), image_px)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    over_ray = reads_over_ray(ray, sets.num_images)
    with image_progress(sets.num_images * max(1, len(features))) as on_images:
        report = report_knn(
            backbone.to(device),
            sets,
            normalization_of(config, model),
            device,
            k,
            features,
            other_dataset(config, "--bank", bank),
            on_images,
            over_ray,
        )
    return report, keep_figures(config, report)


def _tell(model: str, run_id: str | None, report: "KnnReport", as_json: bool) -> None:
    if as_json:
        print(json.dumps({"model": model, "run_id": run_id, **asdict(report)}, indent=2))
    else:
        _print(model, run_id, report)


def _print(model: str, run_id: str | None, report: "KnnReport") -> None:
    changed = f" with {' '.join(report.changed)}" if report.changed else ""
    print(f"protocol  {report.protocol}{changed}, images of {report.image_px} px")
    print(f"model     {model}")
    print(f"run       {run_id or 'unknown here; nothing was logged'}")
    print(f"queries   {report.query_images} images of {report.dataset}")
    voting = ", each image without itself (leave-one-out)" if report.leave_one_out else ""
    print(f"bank      {report.bank_images} images of {report.bank}{voting}")
    print(f"classes   {report.num_classes}, chance {100 / report.num_classes:.2f} %\n")
    headers = ("feature", "k", "top-1 %", "95 % interval", "top-5 %", "95 % interval")
    print_table(
        headers,
        [
            (
                row.feature,
                row.k,
                *(cell for accuracy in (row.top1, row.top5) for cell in accuracy_cells(accuracy)),
            )
            for row in report.rows
        ],
    )
    if report.rows[-1].k > report.bank_images:
        print(f"\na k above {report.bank_images} means the whole bank")
