"""`poise evaluate`: measures how good a backbone's features are.

In: a model and datasets. Out: values with their protocol, as tables or as JSON. Next: nothing.
"""

import typer

from poise.cli.evaluate.all_evaluations import evaluate_all
from poise.cli.evaluate.attention import attention
from poise.cli.evaluate.attention_video import attention_video
from poise.cli.evaluate.copies import copies
from poise.cli.evaluate.embedding_map import embedding_map
from poise.cli.evaluate.knn import knn
from poise.cli.evaluate.objects import masks, objects
from poise.cli.evaluate.probes import attentive, finetune, linear
from poise.cli.evaluate.registers import registers
from poise.cli.evaluate.retrieval import retrieval
from poise.cli.evaluate.segmentation import segmentation
from poise.cli.evaluate.video import video

app = typer.Typer(no_args_is_help=True)


@app.callback()
def evaluate() -> None:
    """Measure how good a backbone's features are.

    Example: poise evaluate knn models:/scenes-vit/1 data/scenes-test

    Example: poise evaluate all models:/scenes-vit/1 data/scenes-test
    """


for command in (
    *(knn, linear, attentive, finetune, attention, registers),
    *(objects, masks, segmentation, retrieval, copies, video),
):
    app.command()(command)
app.command("attention-video")(attention_video)
app.command("map")(embedding_map)
app.command("all")(evaluate_all)
