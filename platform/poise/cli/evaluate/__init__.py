"""`poise evaluate`: measures how good a backbone's features are.

In: a model and datasets. Out: values with their protocol, as tables or as JSON. Next: nothing.
"""

import typer

from poise.cli.evaluate.attention import attention
from poise.cli.evaluate.knn import knn
from poise.cli.evaluate.probes import attentive, finetune, linear
from poise.cli.evaluate.registers import registers
from poise.cli.evaluate.segmentation import segmentation
from poise.cli.evaluate.video import video

app = typer.Typer(no_args_is_help=True)


@app.callback()
def evaluate() -> None:
    """Measure how good a backbone's features are."""


for command in (knn, linear, attentive, finetune, attention, registers, segmentation, video):
    app.command()(command)
