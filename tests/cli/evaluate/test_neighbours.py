import json
from pathlib import Path

import pytest

from poise.cli.main import run
from poise.tracking.metric_values import history
from poise.tracking.run import Run
from poise.tracking.store import Store
from tests.cli.evaluate.test_attention import OPTIONS, save_model
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.evaluation.neighbours.benchmarks import save_copydays, save_landmarks
from tests.packages import save_resnet
from tests.tracking.conftest import run as made_by
from tests.tracking.conftest import store

__all__ = ["made_by", "make_dataset", "store"]  # fixtures


def evaluate(*words: object) -> int:
    return run(["evaluate", *map(str, words), "--no-ray"])


@pytest.mark.slow
def test_retrieval_copies_and_maps_are_printed_drawn_and_kept_with_the_run(
    make_dataset: MakeDataset,
    store: Store,
    made_by: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset = make_dataset("scenes", [0, 1, 2] * 6)
    model = save_model(tmp_path / "backbone", run_id=made_by.run_id, **OPTIONS)
    for name, arguments, picture, metric in (
        ("retrieval", [], "nearest-images.png", "retrieval-same-class-v1/map"),
        ("copies", ["--originals", 3], "copies.png", "/map_strong"),
        ("map", [], "map.html", "map-features-v1/cophenetic_correlation"),
    ):
        out = tmp_path / name
        assert evaluate(name, model, dataset, *arguments, "--out", out, "--json") == 0
        printed = capsys.readouterr()
        (found,) = json.loads(printed.out)["models"]
        assert found["pictures"] == [picture]
        assert (out / "backbone" / picture).stat().st_size > 1000
        assert all(
            each["low"] is None or each["low"] <= each["high"] for each in found["figures_found"]
        )
        logged = store.client.get_run(made_by.run_id).data.metrics
        (key,) = [key for key in logged if key.endswith(metric)]
        assert history(store, made_by.run_id, [key])[key][0][1] == logged[key]


@pytest.mark.slow
def test_published_benchmarks_are_recognised_by_their_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_model(tmp_path / "backbone", **OPTIONS | {"patch_size": 32})
    landmarks = save_landmarks(tmp_path / "roxford5k")
    out = ("--out", tmp_path / "out")
    assert evaluate("retrieval", model, landmarks, *out, "--image-px", 64, "--whole-queries") == 0
    printed = capsys.readouterr().out
    assert "retrieval/revisited-v1 with --image-px=64 --whole-queries" in printed
    assert "map_medium" in printed and "precision_at_10_hard" in printed
    assert evaluate("copies", model, save_copydays(tmp_path / "copydays"), *out) == 0
    printed = capsys.readouterr().out
    assert "copies/copydays-v1, images of 320 px" in printed and "map_jpegqual_3" in printed


def test_options_that_do_not_apply_are_refused_in_one_line(
    make_dataset: MakeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = make_dataset("scenes", [0, 1, 2])
    landmarks, copydays = save_landmarks(tmp_path / "a"), save_copydays(tmp_path / "b")
    for words, message in (
        (("retrieval", "vit", dataset, "--multiscale"), "--multiscale: applies to revisited"),
        (("retrieval", "vit", landmarks, "--feature", "mean"), "applies to labelled datasets"),
        (("copies", "vit", dataset, "--whitening", dataset), "applies to Copydays"),
        (("copies", "vit", copydays, "--originals", "3"), "has its own copies"),
    ):
        assert evaluate(*words) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1 and message in err


@pytest.mark.slow
def test_a_residual_network_ranks_images_but_has_no_patches_to_find_copies_by(
    make_dataset: MakeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = make_dataset("scenes", [0, 1, 2] * 4)
    resnet, out = save_resnet(tmp_path / "resnet"), ("--out", tmp_path / "out")
    for name in ("retrieval", "map"):
        assert evaluate(name, resnet, dataset, *out) == 0
    assert evaluate("copies", resnet, dataset, *out) == 2
    err = capsys.readouterr().err
    assert "error: " in err and "ResNetBackbone: has no patch tokens" in err
