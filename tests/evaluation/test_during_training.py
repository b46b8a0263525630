import math
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from poise.config import PoiseError
from poise.config.metrics import ATTENTION, LABEL_FREE, LABELLED
from poise.config.recipe import BackboneConfig, DataConfig, EvaluationConfig, Recipe
from poise.config.views import ViewsConfig
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.evaluation.answers_per_image import Answers, unpacked
from poise.evaluation.during_training import online_probes
from poise.evaluation.neighbours.report import report_knn
from poise.evaluation.neighbours.sets import open_knn_sets
from poise.evaluation.reading.inference import Bench, evaluation_mode
from poise.models.backbone import build_backbone
from tests.builders import TINY_VIT
from tests.evaluation.conftest import MakeDataset

CPU = torch.device("cpu")
MEASURED = LABELLED + LABEL_FREE + ATTENTION  # the images have no masks
BENCH = Bench(([0.5] * 3, [0.25] * 3), CPU)


class MeanColour(nn.Module):
    """Tells the colours apart without training."""

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return images.mean(dim=(2, 3))


class Constant(nn.Module):
    """A collapsed backbone."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.ones(len(images), 4)


def recipe(dataset: Path, queries: Path | None) -> Recipe:
    return Recipe(
        name="probe",
        data=DataConfig(dataset=str(dataset), views=ViewsConfig(global_px=16)),
        evaluation=EvaluationConfig(
            queries=str(queries) if queries else None,
            image_px=16,
            knn_k=3,
        ),
    )


def test_the_probe_of_a_recipe_tells_good_features_from_collapsed_ones(
    make_dataset: MakeDataset,
) -> None:
    bank, queries = make_dataset("bank", [0, 1, 2] * 9), make_dataset("queries", [2, 1] * 6, seed=1)
    probe = pickle.loads(pickle.dumps(online_probes(recipe(bank, queries))))
    backbone = MeanColour().train()
    found = dict(probe(backbone, CPU))
    assert [found[name] for name in ("knn_top1", "knn_top5", "linear_top1")] == [100] * 3
    assert {f"eval/{name}" for name in found} == {*LABELLED, *LABEL_FREE}
    assert found["rankme"] > 2 and found["lidar"] > 1.5
    assert backbone.training
    collapsed = dict(probe(Constant(), CPU))
    assert collapsed["knn_top1"] <= 50
    assert [collapsed[name] for name in ("rankme", "lidar")] == pytest.approx([1, 1], abs=1e-3)
    assert pickle.loads(pickle.dumps(probe))._images is None


def test_each_batch_of_images_is_a_sign_of_life(make_dataset: MakeDataset) -> None:
    bank, queries = make_dataset("bank", [0, 1, 2] * 43), make_dataset("queries", [2, 1], seed=1)
    probe, told = online_probes(recipe(bank, queries)), list[int]()
    assert probe is not None
    list(probe(MeanColour(), CPU, told.append))
    assert told == [64, 64, 1, 2, *[64] * 16, 8], "bank, queries, and eight views of each image"


@pytest.mark.slow
def test_each_batch_of_the_probes_of_a_transformer_is_a_sign_of_life(tmp_path: Path) -> None:
    for name, seed in (("bank", 0), ("queries", 1)):
        prepare("scenes", tmp_path / name, PrepareOptions(num_images=20, seed=seed))
    config = BackboneConfig(name="vit_tiny_patch16_224", options=TINY_VIT)
    backbone = build_backbone(config, image_px=16)
    probe = online_probes(recipe(tmp_path / "bank", tmp_path / "queries"))
    assert probe is not None
    features, patches, views, attention = [20, 20], [20, 20], [64, 64, 32], [1, 19]
    for measure in (probe, probe.at_start):
        told: list[int] = []
        list(measure(backbone, CPU, told.append))
        assert told == [*features, *patches, *views, *attention]


def test_a_recipe_without_queries_needs_no_labels(make_dataset: MakeDataset) -> None:
    unlabelled = make_dataset("unlabelled", [-1] * 27, classes=())
    probe = pickle.loads(pickle.dumps(online_probes(recipe(unlabelled, None))))
    assert set(dict(probe(MeanColour(), CPU))) == {"rankme", "lidar"}


@pytest.mark.slow
def test_of_a_transformer_where_its_class_token_looks_is_watched_too(
    make_dataset: MakeDataset,
) -> None:
    bank = make_dataset("bank", [0, 1, 2] * 30)
    config = BackboneConfig(name="vit_tiny_patch16_224", options=TINY_VIT)
    backbone = build_backbone(config, image_px=16)
    probe = online_probes(recipe(bank, bank))
    assert probe is not None
    found = {f"eval/{name}": value for name, value in probe(backbone, CPU)}
    assert {name for name in found if "/attention/" not in name} == {*MEASURED}
    assert len(found) == len(MEASURED) + 2 * 3 * TINY_VIT["depth"]
    assert probe._images is not None and len(probe._images.few) == 64
    again = online_probes(recipe(bank, None))
    assert again is not None
    of_another_run = {f"eval/{name}": value for name, value in again(backbone, CPU)}
    assert of_another_run.items() <= found.items(), "the same images, with labels and without"


def test_a_backbone_that_diverged_has_figures_that_are_no_numbers_and_its_run_goes_on(
    make_dataset: MakeDataset,
) -> None:
    class Diverged(nn.Module):
        """Gives NaN."""

        def forward(self, images: Tensor) -> Tensor:
            return torch.full((len(images), 4), math.nan)

    bank = make_dataset("bank", [0, 1, 2] * 9)
    for queries, names in ((bank, {*LABELLED, *LABEL_FREE}), (None, {*LABEL_FREE})):
        probe = online_probes(recipe(bank, queries))
        assert probe is not None
        found = dict(probe(Diverged(), CPU))
        assert {f"eval/{name}" for name in found} == names
        assert all(math.isnan(value) for value in found.values())


def test_probes_can_be_switched_off(make_dataset: MakeDataset) -> None:
    dataset = make_dataset("bank", [0, 1, 2])
    never = recipe(dataset, dataset).model_copy(
        update={"evaluation": EvaluationConfig(queries=str(dataset), every_epochs=None)}
    )
    assert online_probes(never) is None


def test_datasets_that_cannot_serve_are_refused_before_training(make_dataset: MakeDataset) -> None:
    bank = make_dataset("bank", [0, 1, 2])
    unlabelled = make_dataset("unlabelled", [-1, -1], classes=())
    others = make_dataset("others", [0, 1], classes=("cat", "dog"))
    with pytest.raises(PoiseError, match="unlabelled: has no labels"):
        online_probes(recipe(bank, unlabelled))
    with pytest.raises(PoiseError, match=r"2 classes \(cat, dog\) but the bank"):
        online_probes(recipe(bank, others))
    with pytest.raises(PoiseError, match="not a prepared dataset"):
        online_probes(recipe(bank, bank.parent))


def test_images_of_one_dataset_never_find_themselves(make_dataset: MakeDataset) -> None:
    folder = make_dataset("colours", [0, 1, 2, 0, 1, 2, 0, 1])
    for max_queries in (None, 3):  # the same images, and some of them
        sets = open_knn_sets(folder, folder, image_px=16, max_queries=max_queries)
        found = sets.features(MeanColour(), BENCH)
        assert found.own_rows is not None and (found.own_rows >= 0).all()
        assert torch.equal(found.bank_features[found.own_rows], found.query_features)
    assert sets.num_images == 11


def test_sets_stay_in_memory_only_if_they_are_read_several_times(
    make_dataset: MakeDataset,
) -> None:
    folder = make_dataset("colours", [0, 1, 2, 0])
    for rereads in (True, False):
        bank = open_knn_sets(folder, folder, image_px=16, rereads=rereads).bank
        assert len(list(bank.batches(2))) == 2
        assert bool(bank._kept) == rereads


def test_unlabelled_images_neither_vote_nor_ask(make_dataset: MakeDataset) -> None:
    folder = make_dataset("partly", [0, -1, 1, 2, -1, 0, 1])
    sets = open_knn_sets(folder, folder, image_px=16)
    report, _ = report_knn(MeanColour(), sets, BENCH, ks=(1, 2))
    assert (report.bank_images, report.query_images, report.leave_one_out) == (5, 5, True)
    assert [row.top1.percent for row in report.rows] == [80, 80]  # the one blue image is alone


def test_modules_get_their_own_modes_back() -> None:
    module = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()).train()
    module[0].eval()
    with pytest.raises(RuntimeError), evaluation_mode(module):
        assert not module[1].training
        raise RuntimeError
    assert [child.training for child in module.modules()] == [True, False, True]


def test_the_answers_of_the_latest_evaluation_are_kept_for_comparisons(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    bank, queries = make_dataset("bank", [0, 1, 2] * 9), make_dataset("queries", [2, 1] * 6, seed=1)
    found = {}
    for name, config in (
        ("a", recipe(bank, queries)),
        ("b", recipe(bank, queries)),
        ("another bank", recipe(queries, queries)),
        ("another k", recipe(bank, queries).model_copy(
            update={"evaluation": EvaluationConfig(queries=str(queries), image_px=16, knn_k=1)}
        )),
    ):  # fmt: skip
        file = tmp_path / f"{name}.answers.json"
        probe = pickle.loads(pickle.dumps(online_probes(config, last_file=file)))
        list(probe(Constant(), CPU))
        if name == "a":
            list(probe(MeanColour(), CPU))  # replaces the answers of the first evaluation
        found[name] = Answers.read(file)
    metric = "eval/knn_top1"
    assert unpacked(found["a"].right[metric], 12).all()
    changes = found["b"].compare(found["a"], metric)
    assert changes is not None and changes.lost == 0 and changes.won >= 50
    for name in ("another bank", "another k"):
        assert found["a"].compare(found[name], metric) is None


def test_a_worker_without_the_runs_folder_keeps_no_answers(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    bank, queries = make_dataset("bank", [0, 1, 2] * 9), make_dataset("queries", [2, 1] * 6, seed=1)
    probe = online_probes(recipe(bank, queries), last_file=tmp_path / "far" / "a.answers.json")
    assert probe is not None
    list(probe(MeanColour(), CPU))
    assert not (tmp_path / "far").exists()
