from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.data.dataset import ImageDataset
from poise.evaluation.answers_per_image import Changes, unpacked
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.finite import NotFiniteError
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench
from poise.evaluation.trained_probes import probe
from poise.evaluation.trained_probes.hits import best_answers
from poise.evaluation.trained_probes.probe import report_probe, train_cached
from poise.evaluation.trained_probes.protocols import (
    PROTOCOLS,
    ProtocolUse,
    find_protocol,
    probe_recipe,
    published_feature,
)
from poise.evaluation.trained_probes.report import ProbeReport
from poise.evaluation.trained_probes.sets import ProbeSets, open_probe_sets
from poise.models.backbone import build_backbone
from poise.models.checksums import read_config
from poise.models.package import load_backbone
from poise.objectives.labelled import is_held_out
from poise.objectives.probe import Probe
from tests.evaluation.conftest import MakeDataset
from tests.packages import save_package, save_resnet

BENCH = Bench(([0.5] * 3, [0.25] * 3), torch.device("cpu"))


def opened(make_dataset: MakeDataset, tmp_path: Path, **settings: Any) -> tuple[Any, ProbeSets]:
    train = make_dataset("train", [0, 1, 2] * 40)
    test = make_dataset("test", [0, 1, 2] * 10, seed=1)
    model = save_package(tmp_path / "vit")
    protocol = PROTOCOLS["linear/cached-v1"]
    recipe = probe_recipe(
        protocol, model, read_config(model), train, ("cls", "mean"),
        {"training.batch_size": 32, "training.epochs": 20, **settings},
    )  # fmt: skip
    return recipe, open_probe_sets(train, test, 16, recipe.objective.held_out)  # type: ignore[union-attr]


def measured(recipe: Any, sets: ProbeSets) -> ProbeReport:
    objective, hits = train_cached(recipe, sets, BENCH)
    return report_probe(objective, recipe, sets, BENCH, ProtocolUse("linear/cached-v1"), hits)[0]


def test_each_answer_is_kept_and_their_share_is_the_accuracy(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    recipe, sets = opened(make_dataset, tmp_path, **{"training.epochs": 1})
    objective, hits = train_cached(recipe, sets, BENCH)
    use = ProtocolUse("linear/cached-v1")
    report, answers = report_probe(objective, recipe, sets, BENCH, use, hits)
    assert answers.images == 30 and set(answers.right) == {
        f"probe/test/linear-cached-v1/{feature}_top1" for feature in ("cls", "mean")
    }
    for metric, text in answers.right.items():
        share = 100 * unpacked(text, 30).mean()
        assert share == pytest.approx(report.figures[metric])
    again = report_probe(objective, recipe, sets, BENCH, use, hits)[1]
    metric = next(iter(answers.right))
    assert answers.compare(again, metric) == Changes(0, 0, 30)
    fewer = replace(sets, train=sets.train.only(np.arange(60)))
    other = report_probe(objective, recipe, fewer, BENCH, use, hits)[1]
    assert answers.compare(other, metric) is None, "the heads learned from other images"
    for changed, is_paired in (("training.epochs=1", False), ("--train=named-otherwise", True)):
        named = ProtocolUse("linear/cached-v1", (changed,))
        other = report_probe(objective, recipe, sets, BENCH, named, hits)[1]
        (metric,) = (name for name in other.right if name.endswith("/cls_top1"))
        assert (answers.compare(other, metric) is not None) is is_paired, changed


def test_colours_are_told_apart_and_the_figures_say_how(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    recipe, sets = opened(make_dataset, tmp_path)
    report = measured(recipe, sets)
    assert [row.feature for row in report.rows] == ["cls", "mean"]
    for row in report.rows:
        assert row.top1.percent > 90 and row.top1.low < row.top1.percent
        assert row.top5.percent == 100
        assert row.base_lr in {choice.base_lr for choice in row.grid} and len(row.grid) == 10
        best = max(choice.held_out_top1 for choice in row.grid)
        assert next(c.held_out_top1 for c in row.grid if c.base_lr == row.base_lr) == best
    assert report.test_images == 30
    assert 0 < report.held_out_images == len(sets.held_out) < 30
    assert set(report.figures) == {
        f"probe/test/linear-cached-v1/{feature}_{top}"
        for feature in ("cls", "mean")
        for top in ("top1", "top5")
    }


def test_other_images_or_settings_are_never_logged_as_the_same_measurement(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    recipe, sets = opened(make_dataset, tmp_path, **{"training.epochs": 1})
    report = measured(recipe, sets)
    others = [
        replace(report, dataset_name="elsewhere"),
        replace(report, changed=("training.epochs=1",)),
        replace(report, changed=("--train=a-tenth",)),
    ]
    seen: set[str] = set()
    for each in (report, *others):
        assert len(each.figures) == 4 and seen.isdisjoint(each.figures)
        seen |= set(each.figures)
    assert len({f"{each.measurement}/{each.file_name}" for each in (report, *others)}) == 4
    assert report.file_name == "test-cls-mean"


@pytest.mark.slow
def test_the_test_images_have_no_say_in_the_choice(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, sets = opened(make_dataset, tmp_path)
    scored: list[int] = []
    monkeypatch.setattr(
        probe, "report_row",
        lambda feature, rates, held_out, test: scored.append(len(test.top1)),
    )  # fmt: skip
    objective, hits = train_cached(recipe, sets, BENCH)
    report_probe(objective, recipe, sets, BENCH, ProtocolUse("linear/cached-v1"), hits)
    assert scored == [1, 1], "only the chosen head of each feature is ever scored on test images"
    monkeypatch.undo()
    chosen = [row.base_lr for row in measured(recipe, sets).rows]
    contrary = ImageDataset.open(make_dataset("contrary", [0] * 5 + [1] * 20, seed=5))
    other = replace(sets, test=EvaluationImages(contrary, 16))
    assert [row.base_lr for row in measured(recipe, other).rows] == chosen


def test_what_is_held_out_depends_on_the_image_alone() -> None:
    ids = np.arange(20_000)
    held = is_held_out(ids, 0.1)
    assert 0.09 < held.mean() < 0.11
    assert np.array_equal(held[::-1], is_held_out(ids[::-1], 0.1))
    assert not (held & ~is_held_out(ids, 0.2)).any(), "a larger share holds out more, not others"
    assert not is_held_out(ids, 0.0).any()


def test_datasets_that_cannot_serve_are_refused_in_one_line(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, sets = opened(make_dataset, tmp_path)
    train = sets.train.folder
    unlabelled = make_dataset("unlabelled", [-1, -1], classes=(), seed=2)
    others = make_dataset("others", [0, 1], classes=("cat", "dog"), seed=3)
    for test, held_out, message in (
        (unlabelled, 0.1, "has no labels"),
        (others, 0.1, r"2 classes \(cat, dog\)"),
        (train, 0.1, "holds the images that the probe learns from"),
        (sets.test.folder, 1e-6, "none of its 120 images is held out"),
    ):
        with pytest.raises(PoiseError, match=message):
            open_probe_sets(str(train), str(test), 16, held_out)
    with pytest.raises(PoiseError, match="there are cached-v1, dino-v1, mae-v1"):
        find_protocol("linear", "xxxxxxxxx")
    monkeypatch.setattr(probe, "_SPARE", 1e-9)
    with pytest.raises(PoiseError, match="read fewer --features"):
        train_cached(recipe, sets, BENCH)


def test_a_feature_is_read_as_its_protocol_was_published(tmp_path: Path) -> None:
    def published(protocol: str, **options: int) -> str:
        sizes = {"patch_size": 8, "num_heads": 2, **options}
        config = BackboneConfig(name="vit_tiny_patch16_224", options=sizes)
        return published_feature(PROTOCOLS[protocol], build_backbone(config, 16))

    assert published("linear/dino-v1", embed_dim=384, depth=5) == "last_4"
    assert published("linear/dino-v1", embed_dim=386, depth=5) == "cls_mean"
    assert published("linear/dino-v1", embed_dim=24, depth=2) == "last_2"
    assert published("linear/mae-v1", embed_dim=24, depth=5) == "cls"
    resnet, _ = load_backbone(save_resnet(tmp_path / "resnet"))
    assert published_feature(PROTOCOLS["linear/dino-v1"], resnet) == "pooled"


def test_features_must_fit_where_they_will_live(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, _ = opened(make_dataset, tmp_path)
    objective = probe.untrained(recipe, torch.device("cpu"))
    assert isinstance(objective, Probe)
    gpu = torch.device("cuda", 1)
    asked: list[torch.device] = []

    def free(device: torch.device) -> tuple[int, int]:
        asked.append(device)
        return 1000, 10**12

    monkeypatch.setattr(torch.cuda, "mem_get_info", free)
    probe._check_memory(objective, 16, 1, gpu)  # 48 floats
    with pytest.raises(PoiseError, match="features of 100 images"):
        probe._check_memory(objective, 16, 100, gpu)
    probe._check_memory(objective, 16, 100, torch.device("cpu"))
    assert asked == [gpu, gpu], "of the GPU that computes, and only of that"


def test_scores_that_are_not_finite_are_never_right_and_a_broken_backbone_ends_the_probe(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    scores = torch.tensor([[[2.0, 1.0, 0.0], [float("nan"), 9.0, 0.0]]])  # one image, two heads
    answers = best_answers({"cls": scores})["cls"]
    assert answers.tolist() == [[[0, 1, 2], [-1, -1, -1]]]

    recipe, sets = opened(make_dataset, tmp_path, **{"training.epochs": 1})
    objective, hits = train_cached(recipe, sets, BENCH)
    with torch.no_grad():
        next(objective.loaded.parameters()).fill_(float("nan"))
    with pytest.raises(NotFiniteError, match="test: the backbone's scores of cls are not finite"):
        report_probe(objective, recipe, sets, BENCH, ProtocolUse("linear/cached-v1"), hits)
    with pytest.raises(NotFiniteError, match="train: the backbone's cls are not finite"):
        image = next(iter(image_pass(objective.readout, sets.train, BENCH)))
        assert image is None
