"""`poise evaluate`: how good a backbone's features are.

In: a model and labelled datasets. Out: figures with their protocol, for people or as JSON. Nothing
comes after it.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.console import is_terminal, print_table
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.evaluation.knn_report import KnnReport

app = typer.Typer(no_args_is_help=True)


@app.callback()
def evaluate() -> None:
    """Measure how good a backbone's features are."""


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
    k: Annotated[
        list[int], typer.Option(min=1, help="Neighbours that vote; may be given several times.")
    ] = [10, 20, 100, 200],  # noqa: B006 - typer reads it once, nobody changes it
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Classify images by their nearest neighbours' labels (protocol knn/dino-v1).

    Nothing is trained. If the dataset is the bank, each image is classified by the others
    (leave-one-out).

    Example: poise evaluate knn models:/shapes-vit/1 data/shapes-test --k 20
    """
    import torch

    from poise.evaluation.knn_report import report_knn
    from poise.evaluation.sets import open_knn_sets
    from poise.tracking.fetch import load_model

    backbone, config = load_model(model)
    image_px = config.get("evaluation_px") or config["image_px"]
    sets = open_knn_sets(dataset, bank or _pretraining_dataset(config, model), image_px)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with _progress(sets.num_images) as on_images:
        report = report_knn(
            backbone.to(device), sets, _normalization(config, model), device, k, on_images
        )
    if as_json:
        print(json.dumps({"model": model, **asdict(report)}, indent=2))
    else:
        _print(model, report)


def _pretraining_dataset(config: dict[str, Any], model: str) -> str:
    folder = config.get("lineage", {}).get("dataset")
    if not folder:
        raise PoiseError(f"{model}: does not say what it was trained on; name a bank with --bank")
    if not Path(folder).is_dir():
        raise PoiseError(
            f"{model}: was trained on {folder}, which is not here; name a bank with --bank"
        )
    return str(folder)


def _normalization(config: dict[str, Any], model: str) -> tuple[list[float], list[float]]:
    try:
        return config["normalization"]["mean"], config["normalization"]["std"]
    except KeyError as missing:
        raise PoiseError(
            f"{model}: its config lacks normalization's {missing}, so its images cannot be prepared"
        ) from None


@contextmanager
def _progress(num_images: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; a line per quarter elsewhere. On stderr, so that stdout stays clean."""
    if is_terminal(sys.stderr):
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("images", total=num_images)
            yield lambda images: bar.update(task, advance=images)
    else:
        yield _QuarterLines(num_images)


class _QuarterLines:
    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0

    def __call__(self, images: int) -> None:
        before, self._done = self._done, self._done + images
        if 4 * before // self._total < 4 * self._done // self._total:
            print(f"{self._done} of {self._total} images", file=sys.stderr, flush=True)


def _print(model: str, report: "KnnReport") -> None:
    print(f"protocol  {report.protocol}, images of {report.image_px} px")
    print(f"model     {model}")
    print(f"queries   {report.query_images} images of {report.dataset}")
    voting = ", each image without itself (leave-one-out)" if report.leave_one_out else ""
    print(f"bank      {report.bank_images} images of {report.bank}{voting}")
    print(f"classes   {report.num_classes}, chance {100 / report.num_classes:.2f} %\n")
    headers = ("k", "top-1 %", "95 % interval", "top-5 %", "95 % interval")
    print_table(
        headers,
        [
            (row.k, *(cell for accuracy in (row.top1, row.top5) for cell in _cells(accuracy)))
            for row in report.rows
        ],
    )
    if report.rows[-1].k > report.bank_images:
        print(f"\na k above {report.bank_images} means the whole bank")


def _cells(accuracy: Any) -> tuple[float, str]:
    return round(accuracy.percent, 2), f"{accuracy.low:.2f} – {accuracy.high:.2f}"
