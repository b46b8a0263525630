from pathlib import Path

from poise.models.package import save_backbone
from poise.tracking.registry.description import MAX_LENGTH, version_text
from poise.tracking.registry.lineage import Maker
from poise.tracking.registry.promotion_records import Promotion
from poise.tracking.registry.registration import register_model
from poise.tracking.registry.version import RegisteredFigure
from poise.tracking.run import Run
from poise.tracking.store import Store
from tests.backbone_kinds import made as made_backbone
from tests.tracking.registry.versions import knn, version

MAKER = Maker(
    run_id="ab",
    name="t02-s0",
    experiment_id="1",
    study="collapse",
    settings={"training.epochs": "40", "data.views.global_px": "96"},
    tags={"poise.verdict_evidence": "RankMe is 63", "poise.verdict_step": "2560"},
)


def test_a_description_tells_everything_without_another_page() -> None:
    made = version(
        3, backbone="vit_small", objective="dino", verdict="healthy", dataset="scenes",
        recipe="dino-scenes", study_run="cd", dataset_fingerprint="ef", version="0.1.0",
        weights_sha256="99", knn_top1=knn(61.2),
    )  # fmt: skip
    promoted = Promotion(3, 2, "me@host", "2026-11-30", "best k-NN")
    text = version_text(made, MAKER, ["pictures/attention.png"], [("best", promoted)], True)
    for part in (
        "This version is the vision backbone **vit_small**. It was trained with DINO.",
        "k-NN accuracy 61.2 % (59.2 to 63.2), verdict: healthy.",
        "The recipe is **dino-scenes**, and the dataset is **scenes**. "
        "Training started from random weights.",
        "steps 2560, epochs 40, image side in pixels 96",
        "**healthy**. RankMe is 63",
        "- eval/knn_top1: **61.2 %** (59.2 to 63.2), knn/dino-v1 on scenes-test",
        "![pictures/attention.png](get-artifact?path=pictures%2Fattention.png&run_uuid=ab)",
        "(#/experiments/1/runs/ab/artifacts)",
        "- The backbone was evaluated only on scenes-test.",
        "- It was trained on images of 96 pixels.",
        'model = mlflow.pyfunc.load_model("models:/vit/3")',
        'backbone, config = load_model("models:/vit/3")',
        "poise models pull models:/vit/3 DEST",
        "poise pretrain RECIPE --from models:/vit/3",
        "- study: collapse (cd)",
        "- trial: t02-s0",
        "- dataset: scenes (ef)",
        "- promoted to `@best` on 2026-11-30 by me@host: best k-NN",
    ):
        assert part in text


def test_many_figures_leave_room_for_how_to_load_the_model() -> None:
    figures = {f"figure_{n:03d}": RegisteredFigure(n, protocol="p" * 30) for n in range(300)}
    text = version_text(version(1, verdict="healthy", **figures), MAKER)
    assert len(text) <= MAX_LENGTH
    assert "`poise models show vit/1` lists all 300 figures." in text
    assert "load_model" in text and "### Where it comes from" in text


def test_a_version_whose_run_is_gone_is_still_described() -> None:
    text = version_text(version(1), Maker("ab"))
    assert "Nothing was measured." in text
    assert "not in this store any more" in text
    assert "### Pictures" not in text


def test_an_imported_model_names_its_source_and_no_training() -> None:
    text = version_text(version(1, imported_from="theirs.pth", layout="dino"), Maker("ab", "run"))
    assert "imported from theirs.pth" in text
    assert "### How it was trained" not in text


def test_a_name_cannot_begin_a_link_a_picture_or_a_tag() -> None:
    evil = "<img src=http://x>\n![a](http://x) @someone"
    figure = RegisteredFigure(1, protocol=evil, dataset=evil)
    made = version(1, odd=figure, dataset=evil, recipe=evil, backbone=evil, imported_from=evil)
    promoted = Promotion(1, None, evil, evil, evil)
    text = version_text(
        made, Maker("ab", tags={"poise.verdict_evidence": evil}), (), [("a", promoted)]
    )
    assert "<" not in text and "![" not in text and " @" not in text


def test_only_a_version_that_mlflow_can_load_says_how_mlflow_loads_it(
    store: Store, run: Run, package: Path, tmp_path: Path
) -> None:
    save_backbone(tmp_path / "timm", *made_backbone("vit"))
    register_model(store, tmp_path / "timm", "vit", run.run_id, {})
    register_model(store, package, "bare", run.run_id, {})  # lacks a normalisation
    loaded = 'mlflow.pyfunc.load_model("models:/vit/1")'
    assert loaded in store.registry.get_model_version("vit", "1").description
    assert "pyfunc" not in store.registry.get_model_version("bare", "1").description
