"""The test of `poise evaluate registers`: outliers are planted into a backbone and recovered.

    python pipelines/planted_outliers.py MODEL DATASET [IMAGES]

Prints, for three plants, the truth beside what the report says. ``docs/results/registers.md`` has
the table of a pretrained backbone.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from poise.cli.evaluate.models import open_models
from poise.cli.main import exit_status
from poise.config.errors import PoiseError
from poise.data.dataset import ImageDataset
from poise.evaluation.outliers.planted import Plant
from poise.evaluation.outliers.planted_truth import recover
from poise.evaluation.reading.inference import Bench
from poise.evaluation.report import EvaluationTask

PLANTS = (
    Plant(norm=400, count=6, first_block=9, where="flat", holds="image"),
    Plant(norm=400, count=6, first_block=5, where="anywhere", holds="patch"),
    Plant(norm=400, count=6, first_block=12, where="fixed", holds="nothing"),
)
"""2.3 % of 256 patches, as published for DINOv2's ViT-g."""


def main() -> None:
    """Plants, measures and prints a table in Markdown for each plant."""
    if len(sys.argv) not in (3, 4):
        raise PoiseError(f"write `python {sys.argv[0]} MODEL DATASET [IMAGES]`")
    (model,) = open_models([sys.argv[1]])
    dataset = ImageDataset.open(sys.argv[2])
    max_images = int(sys.argv[3]) if sys.argv[3:] else None
    bench = Bench(model.normalization, torch.device("cpu"))
    for plant in PLANTS:
        with TemporaryDirectory() as folder:
            task = EvaluationTask(
                model.backbone, dataset, bench, model.image_px, Path(folder), max_images
            )
            print(f"\n{plant}\n\n| fact | truth | found |\n|---|---|---|")
            for row in recover(task, plant):
                print(f"| {row.fact} | {row.truth} | {row.found} |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
