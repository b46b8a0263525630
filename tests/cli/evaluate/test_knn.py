import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from poise.cli.evaluate.options import normalization_of
from poise.cli.main import run
from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.package import save_backbone
from poise.tracking.run import create_run
from poise.tracking.store import open_store
from tests.evaluation.conftest import MakeDataset, make_dataset

__all__ = ["make_dataset"]  # a fixture

BACKBONE = BackboneConfig(options={"patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2})


def save_model(folder: Path, **config: Any) -> str:
    backbone = build_backbone(BACKBONE, image_px=16)
    described = {"backbone": BACKBONE.model_dump(mode="json"), "image_px": 16}
    normalization = {"mean": [0.5] * 3, "std": [0.25] * 3}
    save_backbone(folder, backbone, {**described, "normalization": normalization, **config})
    return str(folder)


def evaluate(
    arguments: Sequence[object], capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    status = run(["evaluate", "knn", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.mark.slow
def test_figures_come_with_protocol_interval_and_counts(
    make_dataset: MakeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained_on = make_dataset("train", [0, 1, 2] * 6)
    queries = make_dataset("test", [0, 1, 2] * 4, seed=1)
    model = save_model(tmp_path / "model", lineage={"dataset": str(trained_on)})

    status, out, err = evaluate([model, queries, "--k", 3, "--k", 50], capsys)
    assert status == 0, err
    for text in ("knn/dino-v1", "12 images", "18 images", "95 % interval", "whole bank"):
        assert text in out

    status, out, _ = evaluate([model, queries, "--bank", queries, "--k", 2, "--json"], capsys)
    report = json.loads(out)
    assert status == 0
    assert (report["protocol"], report["leave_one_out"]) == ("knn/dino-v1", True)
    assert (report["bank_images"], report["query_images"]) == (12, 12)
    top1 = report["rows"][0]["top1"]
    assert 0 <= top1["low"] <= top1["percent"] <= top1["high"] <= 100


@pytest.mark.slow
def test_what_is_not_the_default_is_told_beside_the_figures_and_in_their_names(
    poise_home: Path, make_dataset: MakeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store()
    maker = create_run(store, "colours", "maker-of-the-compared", tmp_path / "maker")
    trained_on = make_dataset("train", [0, 1, 2] * 6)
    queries = make_dataset("test", [0, 1, 2] * 4, seed=1)
    lineage = {"dataset": str(trained_on), "run_id": maker.run_id}
    model = save_model(tmp_path / "model", lineage=lineage)

    words = [model, queries, "--k", 3, "--json"]
    plain = json.loads(evaluate(words, capsys)[1])
    both = json.loads(evaluate([*words, "--features", "cls", "--features", "mean"], capsys)[1])
    assert [row["feature"] for row in both["rows"]] == ["cls", "mean"]
    assert both["rows"][0] == plain["rows"][0], "[cls] is the default"
    status, out, _ = evaluate([model, queries, "--k", 3, "--bank", queries], capsys)
    assert status == 0 and "knn/dino-v1 with --bank=test" in out

    kept = store.client.get_run(maker.run_id).data.metrics
    assert kept["probe/test/knn-dino-v1/k3_top1"] == plain["rows"][0]["top1"]["percent"]
    assert kept["probe/test/knn-dino-v1/mean_k3_top1"] == both["rows"][1]["top1"]["percent"]
    (other,) = {name.rpartition("/")[0] for name in kept} - {"probe/test/knn-dino-v1"}
    assert other.startswith("probe/test/knn-dino-v1-changed-")
    files = store.client.list_artifacts(maker.run_id, "probes/knn-dino-v1")
    assert sorted(Path(file.path).name for file in files) == [
        "test-cls-mean-k3.answers.json",
        "test-cls-mean-k3.json",
        "test-k3.answers.json",
        "test-k3.json",
    ]


@pytest.mark.slow
def test_what_cannot_be_evaluated_is_one_line_and_status_2(
    make_dataset: MakeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = make_dataset("test", [0, 1, 2])
    unlabelled = make_dataset("unlabelled", [-1, -1], classes=())
    model = save_model(tmp_path / "model")
    for arguments, message in (
        ([model, queries], "name a dataset with --bank"),
        ([model, queries, "--bank", queries, "--features", "men"], "did you mean 'mean'"),
        ([model, queries, "--bank", queries, "--features", "abmilp"], "poise evaluate attentive"),
        ([model, unlabelled, "--bank", queries], "has no labels"),
        ([model, tmp_path / "nowhere", "--bank", queries], "not a prepared dataset"),
        ([tmp_path / "test", queries], "not a backbone package"),
    ):
        status, out, err = evaluate(arguments, capsys)
        assert status == 2 and out == ""
        assert err.startswith("error: ") and err.count("\n") == 1 and message in err


@pytest.mark.parametrize(
    "normalization",
    [
        {"mean": [0.5] * 3, "std": [0.0] * 3},
        {"mean": [0.5] * 3, "std": [-0.2, 0.2, 0.2]},
        {"mean": [0.5] * 3, "std": [float("nan"), 0.2, 0.2]},
        {"mean": [1e39, 0.5, 0.5], "std": [0.25] * 3},
        {"mean": [0.5] * 3, "std": [0.25] * 2},
        {"mean": [0.5] * 3},
        [0.5, 0.25],
    ],
)
def test_a_model_whose_images_cannot_be_normalised_is_named_before_an_image_is_read(
    normalization: Any,
) -> None:
    # A negative deviation gave figures, and 0 gave an error that blamed the weights.
    with pytest.raises(PoiseError, match=r"^vit: its config has .*no image can be prepared"):
        normalization_of({"normalization": normalization}, "vit")
