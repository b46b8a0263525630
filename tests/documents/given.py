"""What pages presume that a reader has, small and made on the spot.

In: names, such as ``photos`` or ``model=photos-vit``. Out: files in the current folder, and
versions in the store of `POISE_HOME`. Next: the page's own commands. Run as
``python -m tests.documents.given NAME …``. What has a URI as its place is made here and copied to
the storage. Datasets in published layouts are in ``given_datasets.py``.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from tests.documents.given_datasets import DATASETS


def photo(path: str) -> None:
    """A JPEG of 64 × 48 pixels at a path."""
    draw = np.random.default_rng(list(path.encode()))
    rough = draw.integers(0, 256, (6, 8, 3), np.uint8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rough).resize((64, 48), Image.Resampling.BICUBIC).save(path, quality=90)


def photos(folder: str) -> None:
    """A folder with two folders of photographs; they become classes."""
    for number in range(12):
        photo(f"{folder}/{('cats', 'dogs')[number % 2]}/{number:02}.jpg")


def frames(folder: str) -> None:
    """Frames of a short video."""
    for number in range(4):
        photo(f"{folder}/{number:05}.jpg")


def _package(folder: Path) -> object:
    from tests.packages import save_package

    return save_package(folder, image_px=32)


def model(name: str) -> None:
    """A registered version of an untrained transformer; its run is in the store."""
    _register(name, {"verdict": "healthy", "metric": "eval/knn_top1"}, {"eval/knn_top1": 62.5})


def versions(name: str) -> None:
    """Four versions of a healthy model, with figures; version 3 has the alias `best`."""
    from poise.tracking.store import open_store

    tags = {"verdict": "healthy", "metric": "eval/knn_top1", "objective": "dino"}
    for knn in (61.0, 58.0, 63.0, 62.5):
        _register(name, tags, {"eval/knn_top1": knn, "eval/rankme": knn / 4})
    open_store().client.set_registered_model_alias(name, "best", "3")


def production(name: str) -> None:
    """The alias `production` of version 1."""
    from poise.tracking.store import open_store

    open_store().client.set_registered_model_alias(name, "production", "1")


def _register(
    name: str,
    tags: Mapping[str, str],
    figures: Mapping[str, float],
    save: Callable[[Path], object] = _package,
) -> None:
    from poise.tracking.registry.registration import register_model
    from poise.tracking.registry.version import RegisteredFigure
    from poise.tracking.run import create_run
    from poise.tracking.store import open_store

    store = open_store()
    known = store.client.search_model_versions(f"name = '{name}'")
    folder = Path("given", name, str(len(known) + 1))
    save(folder)
    run = create_run(store, "scenes-train", f"{name}-{len(known) + 1}", folder)
    units = {"eval/knn_top1": "%"}
    measured = {key: RegisteredFigure(value, units.get(key, "")) for key, value in figures.items()}
    register_model(store, folder, name, run.run_id, dict(tags), measured)


def log(path: str) -> None:
    """A log of DINO's loss at ln 65536, one JSON object an epoch."""
    rows = [{"train_loss": 11.0903, "train_lr": 5e-4, "epoch": epoch} for epoch in range(100)]
    Path(path).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def table(path: str) -> None:
    """A CSV of a loss at ln 4096, in columns whose names Poise does not know."""
    _write_table(Path(path), "iteration,objective")


def lightning(folder: str) -> None:
    """A folder with the `metrics.csv` of Lightning: a loss at ln 4096."""
    _write_table(Path(folder, "metrics.csv"), "step,train_loss")


def _write_table(path: Path, head: str) -> None:
    rows = "".join(f"{step},8.3178\n" for step in range(0, 1000, 10))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}\n{rows}", encoding="utf-8")


def events(folder: str) -> None:
    """TensorBoard's event file of a loss at ln 4096."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:
        for step in range(0, 1000, 10):
            writer.add_scalar("train/loss", 8.3178, step)


def logged_run(path: str) -> None:
    """A run in MLflow with the metrics of a healthy run of DINO. A file gets its id."""
    import math

    from poise.tracking.run import create_run
    from poise.tracking.store import open_store

    store = open_store()
    run = create_run(store, "logged", "dino", Path(path).parent)
    ln_k = math.log(4096)
    store.client.log_param(run.run_id, "objective.num_prototypes", 4096)
    for step in range(0, 1000, 10):
        for name, share in (("loss/total", 0.6), ("teacher/entropy", 0.4)):
            store.client.log_metric(run.run_id, name, share * ln_k, step=step)
    Path(path).write_text(run.run_id, encoding="utf-8")


def dinov2(path: str) -> None:
    """A ViT-S/14 with random weights, under the names of DINOv2's published file."""
    import timm
    from safetensors.torch import save_file

    network = timm.create_model("vit_small_patch14_dinov2", num_classes=0)
    save_file({name: each.contiguous() for name, each in network.state_dict().items()}, path)


def dino(path: str) -> None:
    """A ViT-S/16 with random weights, in the full checkpoint that DINO publishes."""
    import timm
    import torch

    weights = timm.create_model("vit_small_patch16_224", num_classes=0).state_dict()
    content = {
        "student": {f"module.backbone.{name}": each for name, each in weights.items()},
        "teacher": {f"backbone.{name}": each for name, each in weights.items()},
        "epoch": 800,
    }
    torch.save(content, path)


def outliers(name: str) -> None:
    """A registered transformer with one neuron that makes outlier patches."""
    from tests.cli.test_models_add_register import save_planted

    _register(name, {}, {}, save_planted)


def bright(folder: str) -> None:
    """A prepared dataset whose bright patches that neuron turns into outliers."""
    from tests.cli.test_models_add_register import write_marked

    write_marked(Path(folder))


def landmarks(folder: str) -> None:
    """Revisited Oxford in miniature, with its ground truth as the published pickle and as JSON."""
    import pickle

    from tests.evaluation.neighbours.benchmarks import save_landmarks

    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    save_landmarks(root)
    as_json = (root / "gnd_tiny.json").rename(root / f"gnd_{root.name}.json")
    truth = json.loads(as_json.read_text(encoding="utf-8"))
    as_json.with_suffix(".pkl").write_bytes(pickle.dumps(truth))


def copydays(folder: str) -> None:
    """Copydays in miniature."""
    from tests.evaluation.neighbours.benchmarks import save_copydays

    save_copydays(Path(folder))


_OTHERS: Mapping[str, Callable[[str], object]] = {
    each.__name__: each
    for each in (
        photo, photos, frames, model, versions, production, log, table, lightning, events,
        logged_run, dinov2, dino, outliers, bright, landmarks, copydays,
    )
}  # fmt: skip
GIVEN = {**_OTHERS, **DATASETS}


def make(kind: str, where: str) -> None:
    """Makes what a page presumes, at a path or at the URI of a file or of a folder."""
    if "://" not in where:
        GIVEN[kind](where)
        return
    from poise.config.locations import Location

    with TemporaryDirectory() as folder:
        made = Path(folder) / Path(where).name
        GIVEN[kind](str(made))
        for path in filter(Path.is_file, Path(folder).rglob("*")):
            place = Location.of(where.rpartition("/")[0])
            (place / path.relative_to(folder).as_posix()).write_bytes(path.read_bytes())


if __name__ == "__main__":
    for word in sys.argv[1:]:
        kind, _, where = word.partition("=")
        make(kind, where)
