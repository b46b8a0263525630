"""Object discovery and attention masks against the bare forward pass of the same backbone.

Run as ``python tests/benchmarks/bench_objects.py``: about two minutes on one CPU core, and
``python tests/benchmarks/bench_objects.py 20000`` for memory. Every pass reads the same images of
the same size. The goal is at least 0.85 times the images per second, by CPU time.

With a number of images it also prints how much memory the process has at its peak: after 1,000
images and after all of them, with a backbone so small that it takes minutes.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module

from poise.config.recipe import BackboneConfig
from poise.data.annotations import AnnotationReader
from poise.data.dataset import ImageDataset
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.evaluation.objects.corloc import best_overlaps
from poise.evaluation.objects.discovery import PUBLISHED, find_boxes
from poise.evaluation.objects.overlap import AttentionMasks, measure_overlaps
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.inference import Bench
from poise.evaluation.reading.native import NativeImages, NativeSize
from poise.models.backbone import build_backbone

ROUNDS, GOAL = 3, 0.85
SIZES = {224: 48, 448: 12}
"""Side of the images in pixels → number of images."""

SMALL = {"patch_size": 16, "embed_dim": 384, "depth": 12, "num_heads": 6}
TINY = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
BENCH = Bench(([0.5] * 3, [0.25] * 3), torch.device("cpu"))

Pass = Callable[[nn.Module, NativeImages, AnnotationReader], None]


class _Features(nn.Module):
    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The bare forward pass."""
        return {"features": self.backbone(images)}


def bare(backbone: nn.Module, images: NativeImages, reader: AnnotationReader) -> None:
    """Only the features."""
    for _ in image_pass(_Features(backbone), images, BENCH):
        pass


def objects(backbone: nn.Module, images: NativeImages, reader: AnnotationReader) -> None:
    """LOST twice and the attention of every head, compared with the true boxes."""
    for found in find_boxes(backbone, images, BENCH, PUBLISHED):
        for boxes, truth in zip(found.boxes, reader.read(found.sample_ids).boxes, strict=True):
            best_overlaps(boxes, truth.astype(np.float64))


def masks(backbone: nn.Module, images: NativeImages, reader: AnnotationReader) -> None:
    """The mask of every head, compared with the true mask."""
    measure_overlaps(AttentionMasks(backbone, 0.6), images, reader, BENCH)


PASSES: dict[str, Pass] = {"bare": bare, "objects": objects, "masks": masks}


def main() -> int:
    """Prints images per second and their ratios; 1 where a goal is missed."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        if len(sys.argv) > 1:
            return measure_memory(Path(scratch), int(sys.argv[1]))
        missed = [measure_speed(Path(scratch), px, count) for px, count in SIZES.items()]
    return int(any(missed))


def measure_speed(scratch: Path, px: int, count: int) -> bool:
    """Prints a table for images of one size; whether the goal was missed."""
    backbone, images, reader = opened(scratch / f"{px}", SMALL, px, count)
    rates: dict[str, list[float]] = {name: [] for name in PASSES}
    for _ in range(ROUNDS):
        for name, run in PASSES.items():
            start = time.process_time()
            run(backbone, images, reader)
            rates[name].append(count / (time.process_time() - start))
    print(f"ViT-S/16, {count} images of {px} px, images a CPU second, median of {ROUNDS}")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in medians.items():
        print(f"{name:<10}{rate:8.2f}{rate / medians['bare']:8.2f}×")
    return min(medians.values()) / medians["bare"] < GOAL


def measure_memory(scratch: Path, count: int) -> int:
    """Prints the process's peak after 1,000 images and after all of them, for both passes."""
    for name in ("objects", "masks"):
        for most in (1000, count):
            backbone, images, reader = opened(scratch / "many", TINY, 32, count, most)
            PASSES[name](backbone, images, reader)
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{name:<10}{most:>8} images, peak so far {peak_mb:8.0f} MB")
    return 0


def opened(
    folder: Path, options: dict[str, int], px: int, count: int, most: int | None = None
) -> tuple[nn.Module, NativeImages, AnnotationReader]:
    """An untrained backbone, some scenes and their annotations."""
    prepare("scenes", folder, PrepareOptions(num_images=count, image_px=px))
    config = BackboneConfig(name="vit_small_patch16_224", drop_path=0, options=options)
    dataset = ImageDataset.open(folder)
    images = NativeImages(dataset, NativeSize(options["patch_size"]), most)
    reader = AnnotationReader(dataset, "boxes", "mask")
    return build_backbone(config, px).eval(), images, reader


if __name__ == "__main__":
    sys.exit(main())
