"""`poise evaluate map`: a dataset as a model sees it, on one interactive page.

In: models and a prepared dataset. Out: a page for each model, and figures with their protocol,
logged to the runs that made the models. Nothing comes after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of

if TYPE_CHECKING:
    from poise.evaluation.report import EvaluationReport, EvaluationTask


@dataclass(frozen=True)
class MapOptions(EvaluationOptions):
    """Arguments and options of `poise evaluate map`."""

    dataset: Annotated[
        str, typer.Argument(help="Prepared dataset. Labels colour the points and make the tree.")
    ]
    max_images: Annotated[
        int | None,
        typer.Option(min=1, help="Number of images, drawn at random. Default and limit: 5000."),
    ] = None


@options_of(MapOptions)
def embedding_map(options: MapOptions) -> None:
    """Draw a dataset as a model sees it, on a page that works offline (protocol map/features-v1).

    The page has PCA and t-SNE (and UMAP, if umap-learn is installed), a thumbnail under the
    pointer, the nearest images of the one that is clicked, and a tree of the classes.

    Example: poise evaluate map models:/shapes-vit/1 data/shapes-test
    """
    evaluate_models(MAP, options)


def _measure(task: EvaluationTask) -> EvaluationReport:
    from poise.evaluation.embedding.embed import PAGE, embed
    from poise.reports.embedding import render_map

    report, content = embed(task)
    (task.folder / PAGE).write_text(render_map(content), encoding="utf-8")
    return report


MAP = Evaluation("map", _measure)
"""The evaluation, for `poise evaluate all` too."""
