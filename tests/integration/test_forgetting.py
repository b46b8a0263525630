"""Studies that go on from trained weights, three seeds each: too fast forgets, gently does not."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from poise.config import load_recipe
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.diagnostics.judge import VerdictKind
from poise.models.published.sources import Options, import_backbone
from poise.runs.pretraining import Extras, pretrain
from poise.sweeps.planning import begin_study
from poise.sweeps.runner import run_study
from poise.tracking.ending import controlled
from poise.tracking.registry.imports import register_import
from poise.tracking.run import create_run
from poise.tracking.store import open_store
from tests.conftest import REPOSITORY

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning:ray.data.context"),
]

SPACE = str(REPOSITORY / "search_spaces" / "dino_continue.yaml")
RECIPES = REPOSITORY / "pipelines" / "recipes"
RATE = "optimizer.base_lr"


def draw_scenes(folder: Path, num_train: int, num_test: int, image_px: int) -> list[str]:
    """Settings that name a training set and a test set of drawn images."""
    for seed, (name, count) in enumerate((("train", num_train), ("test", num_test))):
        prepare("scenes", folder / name, PrepareOptions(count, seed, image_px))
    return [f"data.dataset={folder / 'train'}", f"evaluation.queries={folder / 'test'}"]


def verdicts(model: str, rates: Sequence[float], words: Sequence[str]) -> list[list[VerdictKind]]:
    """The verdicts of three seeds at each learning rate."""
    study = begin_study(
        SPACE,
        [
            f"parameters.{RATE}={{grid_search: {json.dumps(list(rates))}}}",
            f"baseline.{RATE}={rates[0]}",
            f"backbone.initial_weights={model}",
            *("stop_collapsed=false", "concurrency=1", "training.device=cpu", *words),
        ],
        command="ablate",
    )
    records = run_study(study).records
    assert [record.state for record in records] == ["finished"] * 3 * len(rates)
    found = {record.trial.name: record.verdict for record in records}
    for record in records:
        assert record.metrics["start/knn_top1"] > 0
    return [
        [verdict.kind for name, verdict in found.items() if verdict and name.startswith(setting)]
        for setting in (f"t{number + 1:02d}-" for number in range(len(rates)))
    ]


def check(found: list[list[VerdictKind]]) -> None:
    gentle, destructive = found
    assert len(gentle) == len(destructive) == 3
    assert VerdictKind.FORGETTING not in gentle
    assert destructive == [VerdictKind.FORGETTING] * 3


def test_a_small_backbone_that_learned_scenes_forgets_them_only_if_it_goes_on_too_fast(
    poise_home: Path, tmp_path: Path, ray_cluster: None
) -> None:
    data = draw_scenes(tmp_path, 1024, 400, image_px=32)
    words = ["training.epochs=30", "evaluation.every_epochs=30", "training.device=cpu"]
    recipe = load_recipe(RECIPES / "mae_scenes.yaml", [*data, *words])
    run = create_run(open_store(), "scenes", "start", poise_home / "start")
    with controlled(run):
        start = pretrain(recipe, run, "start", Extras(in_process=True))
    demo = ["training.epochs=3", "evaluation.every_epochs=1", "training.log_every_steps=8"]
    words = [f"recipe={RECIPES / 'dino_scenes_demo.yaml'}", *data, *demo]
    check(verdicts(str(start.package), (4e-5, 0.1), words))


def test_the_pretrained_control_is_forgotten_only_if_training_goes_on_too_fast(
    poise_home: Path, tmp_path: Path, shared_dir: Path, ray_cluster: None
) -> None:
    file = shared_dir / "data" / "dinov2-derived-vits14.safetensors"
    if not file.is_file():
        pytest.skip(f"no pretrained control at {file}")
    imported, source = import_backbone(str(file), Options())
    control = register_import(open_store(), imported, source, "control")
    words = [
        *draw_scenes(tmp_path, 128, 300, image_px=56),
        *("data.views.global_px=42", "data.views.local_px=28", "data.views.local_count=1"),
        *("data.cut_processes=0", "training.batch_size=8", "training.epochs=2"),
        *("optimizer.warmup_epochs=0.25", "objective.freeze_last_layer_epochs=0"),
        *("objective.num_prototypes=256", "objective.head.hidden_dim=256"),
        *("objective.head.bottleneck_dim=64", "training.log_every_steps=4"),
    ]
    check(verdicts(control.uri, (5e-5, 0.1), words))
