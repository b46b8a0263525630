"""A run from trained weights on real workers and a real store: its start, its lineage, its end."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from poise.config import Recipe
from poise.models.checksums import read_config
from poise.models.package import load_backbone
from poise.runs.initial_weights import find
from poise.runs.outcome import Finished
from poise.runs.pretraining import Extras, pretrain
from poise.runs.registration import register_finished
from poise.tracking.ending import controlled
from poise.tracking.registry.paired_differences import read_answers
from poise.tracking.registry.version_lookup import find_model
from poise.tracking.run import Run, create_run
from poise.tracking.store import open_store
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset
from tests.packages import save_package

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning:ray.data.context"),
]

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.fixture
def recipe(poise_home: Path, tmp_path: Path, ray_cluster: None) -> Recipe:
    images = [encode(smooth_image(i, 20, 20)) for i in range(32)]
    write_dataset(tmp_path / "dataset", images, labels=[i % 2 for i in range(32)])
    package = save_package(
        tmp_path / "package", normalization=IMAGENET, lineage={"imported_from": "theirs.pth"}
    )
    return tiny_recipe(
        data__dataset=str(tmp_path / "dataset"),
        training__epochs=6,
        training__checkpoint_every_steps=8,
        evaluation={"queries": str(tmp_path / "dataset"), "every_epochs": 3},
        backbone__initial_weights=str(package),
        backbone__num_registers=2,
        optimizer__base_lr=1e-6,
    )


def trained(recipe: Recipe, folder: Path, **changes: object) -> tuple[Finished, Run]:
    run = create_run(open_store(), "warm", "w", folder)
    with controlled(run):
        return pretrain(recipe, run, "w", Extras(in_process=True)), run


def test_its_start_is_measured_named_and_registered_and_it_is_resumed_without_its_model(
    recipe: Recipe, tmp_path: Path, poise_home: Path
) -> None:
    start = find(recipe)
    assert start is not None
    half = recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"stop_after_steps": 12})}
    )
    first, _ = trained(half, poise_home / "w")
    shutil.rmtree(tmp_path / "package")  # a checkpoint is enough
    finished, run = trained(recipe, poise_home / "w")
    assert first.last_step == 12 and finished.last_step == 24

    step, metrics = finished.history[0]
    assert step == 0 and metrics["start/knn_top1"] == metrics["eval/knn_top1"]
    assert {"start/rankme", "start/linear_top1", "eval/knn_queries"} <= metrics.keys()
    assert not [name for name in metrics if name.startswith("untrained/")]
    last = finished.history[-1][1]
    loss = last["eval/knn_forgotten"] - last["eval/knn_learned"]
    assert loss == pytest.approx(metrics["start/knn_top1"] - last["eval/knn_top1"])
    assert last["eval/knn_queries"] == 32

    entry = read_config(finished.package.local)["lineage"]["initial_weights"]
    assert entry["resolved"] == recipe.backbone.initial_weights
    assert entry["weights_sha256"] == start.weights_sha256
    assert entry["lineage"] == {"imported_from": "theirs.pth"}
    assert "2 of 2 registers are new and begin at random" in entry["adapted"]
    assert "initial_weights" not in read_config(finished.package.local)["backbone"]
    version = find_model(run.store, register_finished(run.store, recipe, finished))
    (answers,) = read_answers(run.store, version)
    assert list(answers.right) == ["eval/knn_top1"]
    assert version.tags["initial_weights"] == recipe.backbone.initial_weights
    assert version.tags["initial_weights_sha256"] == start.weights_sha256
    assert version.tags["initial_weights_origin"] == "imported_from=theirs.pth"
    params = run.store.client.get_run(run.run_id).data.params
    assert params["backbone.initial_weights"] == recipe.backbone.initial_weights
    assert json.loads((poise_home / "w" / "initial_weights.json").read_text())["reference"]
    load_backbone(finished.package)


def test_the_first_step_sees_the_features_of_the_start(
    recipe: Recipe, tmp_path: Path, poise_home: Path
) -> None:
    backbone, _ = load_backbone(tmp_path / "package")
    plain = recipe.model_copy(
        update={"backbone": recipe.backbone.model_copy(update={"num_registers": 0})}
    )
    finished, _ = trained(plain, poise_home / "w")
    kept, _ = load_backbone(finished.package)
    images = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        cosine = torch.cosine_similarity(kept(images), backbone(images)).min()
    assert cosine > 0.999, "a tiny learning rate leaves the start as it was"
