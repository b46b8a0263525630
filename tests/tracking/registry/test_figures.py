"""A later evaluation adds its figures to registered versions."""

from pathlib import Path

import pytest

from poise.cli.evaluate.options import register_figures
from poise.config.recipe import BackboneConfig
from poise.evaluation.report import EvaluationReport, Figure
from poise.models.backbone import build_backbone
from poise.models.package import load_backbone, save_backbone
from poise.tracking.registry.figures import record_figures
from poise.tracking.registry.registration import register_model
from poise.tracking.registry.version import RegisteredFigure
from poise.tracking.registry.version_lookup import find_model
from poise.tracking.run import Run
from poise.tracking.store import Store

KNOWN = {"eval/knn_top1": RegisteredFigure(33.0, "%", 30.0, 36.0, "knn/dino-v1", "scenes")}
ADDED = {"probe/photos/knn-dino-v1/k20_top1": RegisteredFigure(61.2, "%", 58.0, 64.0)}


@pytest.fixture
def uri(store: Store, run: Run, package: Path) -> str:
    """A version with one figure."""
    tags = {"metric": "eval/knn_top1", "verdict": "healthy"}
    return register_model(store, package, "vit", run.run_id, tags, KNOWN)


def description(store: Store, uri: str) -> str:
    name, number = uri.removeprefix("models:/").split("/")
    return str(store.registry.get_model_version(name, number).description)


def test_a_new_figure_joins_the_older_ones_and_is_in_the_description(
    store: Store, run: Run, package: Path, uri: str
) -> None:
    assert "61.2 %" not in description(store, uri)
    assert record_figures(store, run.run_id, package, ADDED) == [uri]
    assert find_model(store, uri).figures == KNOWN | ADDED
    text = description(store, uri)
    assert "- eval/knn_top1: **33.0 %** (30.0 to 36.0)" in text
    assert "- probe/photos/knn-dino-v1/k20_top1: **61.2 %** (58.0 to 64.0)" in text


def test_a_figure_that_is_measured_again_replaces_the_older_value(
    store: Store, run: Run, package: Path, uri: str
) -> None:
    again = {"eval/knn_top1": RegisteredFigure(35.0, "%", 32.0, 38.0, "knn/dino-v1", "scenes")}
    record_figures(store, run.run_id, package, again)
    assert find_model(store, uri).figures == again
    text = description(store, uri)
    assert "k-NN accuracy 35.0 % (32.0 to 38.0)" in text and "33.0 %" not in text


def test_figures_of_another_checkpoint_add_nothing(
    store: Store, run: Run, package: Path, uri: str, tmp_path: Path
) -> None:
    before = description(store, uri)
    config = BackboneConfig(
        name="vit_tiny_patch16_224",
        options={"patch_size": 16, "embed_dim": 24, "depth": 1, "num_heads": 2},
    )
    described = {"backbone": config.model_dump(mode="json"), "image_px": 32}
    save_backbone(tmp_path / "later", build_backbone(config, 32), described)  # other weights
    assert record_figures(store, run.run_id, tmp_path / "later", ADDED) == []
    backbone, same = load_backbone(package)
    save_backbone(tmp_path / "same", backbone, {**same, "evaluation_px": 64})
    assert record_figures(store, run.run_id, tmp_path / "same", ADDED) == []
    assert find_model(store, uri).figures == KNOWN
    assert description(store, uri) == before


def test_a_report_names_the_versions_that_got_its_figures(
    store: Store, run: Run, package: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = EvaluationReport(
        protocol="objects/lost-corloc-v1",
        changed=(),
        dataset="/data/boxes",
        dataset_name="boxes",
        image_px=32,
        num_images=10,
        figures_found=(Figure("corloc", 42.0, low=40.0, high=44.0),),
    )
    register_figures(run.run_id, package, report)
    assert f"{uri}: its figures and its description have the new values" in capsys.readouterr().err
    figure = find_model(store, uri).figures["probe/boxes/objects-lost-corloc-v1/corloc"]
    assert figure == RegisteredFigure(42.0, "%", 40.0, 44.0, "objects/lost-corloc-v1", "boxes")
    assert "42.0 %" in description(store, uri)
