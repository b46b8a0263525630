import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from poise.cli.main import run
from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.package import save_backbone
from poise.tracking.metric_values import history
from poise.tracking.registry.registration import register_model
from poise.tracking.registry.version_lookup import find_model
from poise.tracking.run import Run
from poise.tracking.store import Store
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.tracking.conftest import run as made_by
from tests.tracking.conftest import store

__all__ = ["made_by", "make_dataset", "store"]  # fixtures

OPTIONS: dict[str, Any] = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


def save_model(
    folder: Path, name: str = "vit_tiny_patch16_224", run_id: str = "", **options: Any
) -> str:
    backbone = BackboneConfig(name=name, drop_path=0, options=options)
    config = {
        "backbone": backbone.model_dump(mode="json"),
        "image_px": 32,
        "normalization": {"mean": [0.5] * 3, "std": [0.25] * 3},
        "lineage": {"run_id": run_id},
    }
    save_backbone(folder, build_backbone(backbone, image_px=32), config)
    return str(folder)


def attention(
    arguments: Sequence[object], capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    status = run(["evaluate", "attention", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def find_description(store: Store, uri: str) -> str:
    """The description on MLflow's page of a version."""
    name, number = uri.removeprefix("models:/").split("/")
    return str(store.registry.get_model_version(name, number).description)


@pytest.mark.slow
def test_models_are_measured_drawn_and_kept_with_the_run_that_made_them(
    make_dataset: MakeDataset,
    store: Store,
    made_by: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset, out = make_dataset("scenes", [0, 1, 2] * 4), tmp_path / "out"
    tracked = save_model(tmp_path / "a" / "backbone", run_id=made_by.run_id, **OPTIONS)
    pooled = save_model(
        tmp_path / "b" / "backbone", class_token=False, global_pool="avg", **OPTIONS
    )
    uri = register_model(store, tracked, "vit", made_by.run_id, {})
    arguments = [tracked, pooled, dataset, "--max-images", 9, "--images", "3,7", "--out", out]

    status, printed, err = attention(arguments, capsys)
    assert status == 0, err
    found = ("attention/beyond-cls-v1", "9 of ", "cls H/ln N", "patch q50", "outliers")
    for text in (*found, made_by.run_id, str(out)):
        assert text in printed
    assert "a-backbone: 9 of 9 images" in err
    names = {"statistics.json", "statistics.csv", "norms.csv"}
    names |= {"heads.png", "norms.png", "blocks.png", "last-block.png"}
    for label in ("a-backbone", "b-backbone"):
        assert {path.name for path in (out / label).iterdir()} == names
    (curve,) = history(store, made_by.run_id, ["attention/scenes/cls_cls_attention"]).values()
    assert [block for block, _ in curve] == [1, 2]
    kept = store.client.list_artifacts(made_by.run_id, "attention/scenes")
    assert {Path(each.path).name for each in kept} == names | {"statistics.png"}

    figures = find_model(store, uri).figures
    assert {name.removeprefix("attention/scenes/") for name in figures} == {
        "cls_cls_attention", "cls_pos_entropy_over_ln_n", "pos_self_attention",
        "pos_pos_entropy_over_ln_n", "pos_norm_q50", "pos_norm_max", "pos_outlier_share",
    }  # fmt: skip
    registered = figures["attention/scenes/cls_cls_attention"]
    assert registered.value == pytest.approx(curve[-1][1]), "the value of the last block"
    assert registered.where == "attention/beyond-cls-v1 on scenes"
    assert registered.low is not None and registered.low < registered.value
    assert "attention/scenes/pos_norm_max" in find_description(store, uri)

    status, printed, _ = attention([*arguments, "--json"], capsys)
    models = json.loads(printed)["models"]
    assert status == 0 and [each["run_id"] for each in models] == [made_by.run_id, None]
    first, second = (set(each["blocks"][0]) for each in models)
    assert "cls_pos_entropy" in first - second
    assert models[0]["blocks"][0]["cls_cls_attention"]["mean"] == pytest.approx(curve[0][1])
    (curve,) = history(store, made_by.run_id, ["attention/scenes/pos_norm_q99"]).values()
    assert [each["pos_norm_q99"] for each in models[0]["norms"]] == pytest.approx(
        [length for _, length in curve]
    )


@pytest.mark.slow
def test_what_cannot_be_measured_is_one_line_and_status_2(
    make_dataset: MakeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = make_dataset("scenes", [0, 1, 2])
    model = save_model(tmp_path / "vit", **OPTIONS)
    resnet = save_model(tmp_path / "resnet", "resnet10t")
    out = tmp_path / "out"
    for arguments, message in (
        ([model, model, dataset], "named twice"),
        (["models:/vit/1", "vit/1", dataset], "would share a folder"),
        ([resnet, dataset], "ResNetBackbone: has no patch tokens"),
        ([model, tmp_path / "nowhere"], "not a prepared dataset"),
        ([model, dataset, "--images", "1,3"], "has samples 0 to 2, not 3"),
        ([model, dataset, "--images", "cat"], "write sample ids such as"),
    ):
        status, printed, err = attention([*arguments, "--out", out], capsys)
        assert status == 2 and printed == ""
        assert err.startswith("error: ") and err.count("\n") == 1 and message in err
    assert not out.exists()
