import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from poise.cli.main import run
from poise.tracking.registry.paired_differences import read_answers
from poise.tracking.registry.registration import register_model
from poise.tracking.registry.version_lookup import find_model
from poise.tracking.run import Run
from poise.tracking.store import Store
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.packages import save_package, save_resnet
from tests.tracking.conftest import run as made_by
from tests.tracking.conftest import store

__all__ = ["made_by", "make_dataset", "store"]  # fixtures

QUICK = ("training.epochs=3", "training.batch_size=32", "objective.held_out=0.2")


def evaluate(
    arguments: Sequence[object], capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    status = run(["evaluate", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.mark.slow
def test_figures_come_with_protocol_choice_interval_and_answers(
    make_dataset: MakeDataset,
    store: Store,
    made_by: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained_on = make_dataset("train", [0, 1, 2] * 20)
    test = make_dataset("test", [0, 1, 2] * 4, seed=1)
    lineage = {"dataset": str(trained_on), "run_id": made_by.run_id}
    model = save_package(tmp_path / "model", lineage=lineage)
    uri = register_model(store, model, "vit", made_by.run_id, {})

    status, out, err = evaluate(["linear", model, test, *QUICK, "--features", "mean"], capsys)
    assert status == 0, err
    for text in ("linear/cached-v1 with training.epochs=3", "held out", "12 images", "95 % interv"):
        assert text in out

    status, out, err = evaluate(
        ["attentive", model, test, *QUICK, "optimizer.warmup_epochs=1", "--json"], capsys
    )
    report = json.loads(out)
    assert status == 0, err
    assert report["protocol"] == "attentive/cached-v1"
    assert report["rows"][0]["feature"] == "abmilp" and len(report["rows"][0]["grid"]) == 10
    assert report["test_images"] == 12 and report["run_id"] == made_by.run_id
    answers = read_answers(store, find_model(store, uri))
    metrics = sorted(name.rpartition("/")[2] for each in answers for name in each.right)
    assert metrics == ["abmilp_top1", "mean_top1"]


@pytest.mark.slow
def test_what_cannot_be_probed_is_one_line_and_status_2(
    make_dataset: MakeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = make_dataset("test", [0, 1, 2])
    unlabelled = make_dataset("unlabelled", [-1, -1], classes=(), seed=2)
    model = save_package(tmp_path / "model", lineage={"dataset": str(unlabelled)})
    resnet = save_resnet(tmp_path / "resnet")
    for arguments, message in (
        (["linear", model], "name a model and a dataset"),
        (["linear", model, test], "has no labels"),
        (["linear", model, test, "--features", "men"], "did you mean 'mean'"),
        (["linear", model, test, "--protocol", "dino"], "did you mean 'dino-v1'"),
        (["linear", model, test, "training.epoch=3"], "did you mean 'training.epochs'"),
        (["attentive", model, test, "objective.abmilp.depth=0"], "objective.abmilp.depth"),
        (["linear", model, test, "--features", "abmilp"], "use poise evaluate attentive"),
        (["finetune", resnet, test, "--train", test], "is a residual network"),
        (["attentive", resnet, test, "--train", test], "a residual network has no tokens"),
        (["finetune", "--resume", "nobody"], "holds no such probe"),
    ):
        status, out, err = evaluate(arguments, capsys)
        assert status == 2 and out == "", err
        assert err.startswith("error: ") and err.count("\n") == 1 and message in err, err
