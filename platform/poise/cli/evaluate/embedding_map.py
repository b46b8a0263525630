"""`poise evaluate map`: draws the embeddings of a dataset on one interactive page.

In: models and a prepared dataset. Out: a page for each model, and values with their protocol,
logged to the runs that trained the models. Next: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.completion import complete_dataset
from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints

if TYPE_CHECKING:
    from poise.evaluation.report import EvaluationReport, EvaluationTask


@dataclass(frozen=True)
class MapOptions(EvaluationOptions):
    """Arguments and options of `poise evaluate map`."""

    dataset: Annotated[
        str,
        typer.Argument(
            help="Prepared dataset. Labels colour the points and make the tree.",
            autocompletion=complete_dataset,
        ),
    ]
    max_images: Annotated[
        int | None,
        typer.Option(min=1, help="Number of images, drawn at random. Default and limit: 5000."),
    ] = None


@prints
@options_of(MapOptions)
def embedding_map(options: MapOptions) -> Output:
    """Draw a dataset as a model sees it, on a page that works offline (protocol map/features-v1).

    The page shows each image as a point. PCA and t-SNE place the points, and also UMAP if
    umap-learn is installed. If the mouse is over a point, the page shows its image. A click shows
    the nearest images. A tree shows how similar the classes are.

    Example: poise evaluate map models:/shapes-vit/1 data/shapes-test
    """
    return evaluate_models(MAP, options)


def _measure(task: EvaluationTask) -> EvaluationReport:
    from poise.evaluation.embedding_map.embed import PAGE, embed
    from poise.reports.embedding_map import render_map

    report, content = embed(task)
    (task.folder / PAGE).write_text(render_map(content), encoding="utf-8")
    return report


MAP = Evaluation("map", _measure)
"""Evaluation of this command. `poise evaluate all` also uses it."""
