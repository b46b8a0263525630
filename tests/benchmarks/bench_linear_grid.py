"""A probe with a grid of ten learning rates against the same probe with one.

Run as ``python tests/benchmarks/bench_linear_grid.py``: half a minute on one CPU core. Both read
the same prepared images with the same backbone and train as ``poise evaluate linear`` does
(protocol ``linear/cached-v1``); in turn, three times, and the medians are compared. The goal is
at most 1.5 times the CPU seconds.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module

from poise.config.recipe import BackboneConfig
from poise.evaluation.reading.inference import Bench
from poise.evaluation.trained_probes.probe import train_cached
from poise.evaluation.trained_probes.protocols import PROTOCOLS, probe_recipe
from poise.evaluation.trained_probes.sets import ProbeSets, open_probe_sets
from poise.models.backbone import build_backbone
from poise.models.checksums import read_config
from poise.models.package import save_backbone
from tests.data.builders import write_blobs

NUM_IMAGES, IMAGE_PX, ROUNDS = 2048, 32, 3
GOAL = 1.5
VIT = {"patch_size": 4, "embed_dim": 192, "depth": 6, "num_heads": 3}
"""Two thirds of what the CIFAR-10 recipe trains: a smaller backbone would hide less of the grid."""


def main() -> int:
    """Prints both costs and their ratio; 1 where the goal is missed."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        train, test, model = folder / "train", folder / "test", folder / "model"
        write_blobs(train, NUM_IMAGES)
        write_blobs(test, 16)
        write_model(model)
        seconds: dict[str, list[float]] = {"one": [], "ten": []}
        for _ in range(ROUNDS):
            for name, multipliers in (("one", (1.0,)), ("ten", None)):
                seconds[name].append(cpu_seconds(model, train, test, multipliers))
    one, ten = (statistics.median(seconds[name]) for name in ("one", "ten"))
    print(f"{NUM_IMAGES} images, {VIT}, CPU seconds, median of {ROUNDS}")
    print(f"one learning rate   {one:.2f}")
    print(f"ten learning rates  {ten:.2f}")
    print(f"ratio               {ten / one:.2f}  (goal: at most {GOAL})")
    return int(ten / one > GOAL)


def cpu_seconds(
    model: Path, train: Path, test: Path, multipliers: tuple[float, ...] | None
) -> float:
    """Of reading the features and training the heads."""
    settings = {"objective.lr_multipliers": multipliers} if multipliers else {}
    protocol = PROTOCOLS["linear/cached-v1"]
    recipe = probe_recipe(protocol, model, read_config(model), train, ("cls",), settings)
    sets: ProbeSets = open_probe_sets(train, test, IMAGE_PX, held_out=0.1)
    bench = Bench(([0.5] * 3, [0.25] * 3), torch.device("cpu"))
    start = time.process_time()
    train_cached(recipe, sets, bench)
    return time.process_time() - start


def write_model(folder: Path) -> None:
    """An untrained backbone: it costs what a trained one does."""
    config = BackboneConfig(name="vit_tiny_patch16_224", drop_path=0, options=VIT)
    described = {
        "backbone": config.model_dump(mode="json"),
        "image_px": IMAGE_PX,
        "normalization": {"mean": [0.5] * 3, "std": [0.25] * 3},
    }
    save_backbone(folder, build_backbone(config, IMAGE_PX), described)


if __name__ == "__main__":
    sys.exit(main())
