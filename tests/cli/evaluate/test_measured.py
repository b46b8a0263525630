"""How several models are measured with one evaluation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from poise.cli.evaluate.measured import (
    Evaluation,
    EvaluationOptions,
    MeasuredModel,
    log_measured,
    log_together,
    measure_models,
)
from poise.config.errors import PoiseError
from poise.data import dataset as datasets
from poise.evaluation.report import EvaluationReport, EvaluationTask
from poise.tracking.run import Run
from poise.tracking.store import Store
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.packages import save_package
from tests.tracking.conftest import run as made_by
from tests.tracking.conftest import store

__all__ = ["made_by", "make_dataset", "store"]  # fixtures


@pytest.fixture
def options(make_dataset: MakeDataset, tmp_path: Path) -> EvaluationOptions:
    dataset = str(make_dataset("colours", [0, 1, 2] * 8))
    return EvaluationOptions([str(save_package(tmp_path / "vit"))], dataset, out=tmp_path / "out")


def test_images_that_were_read_do_not_stay_in_memory(
    options: EvaluationOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(task: EvaluationTask) -> EvaluationReport:
        task.dataset.read(np.arange(24))
        raise PoiseError(f"{len(task.dataset._cache)} of 3 row groups in memory")

    monkeypatch.setattr(datasets, "_ONE_PASS_BYTES", 1)
    with pytest.raises(PoiseError, match="1 of 3"):
        measure_models(Evaluation("any", measure), options, on_model=print)


def test_a_model_leaves_the_gpu_after_an_error(
    options: EvaluationOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(task: EvaluationTask) -> EvaluationReport:
        monkeypatch.setattr(type(task.backbone), "cpu", lambda model: left.append(model))
        raise PoiseError("enough")

    left: list[nn.Module] = []
    with pytest.raises(PoiseError, match="enough"):
        measure_models(Evaluation("any", measure), options, on_model=print)
    assert len(left) == 1


def test_a_second_dataset_does_not_replace_the_pictures_of_the_first(
    make_dataset: MakeDataset, store: Store, made_by: Run, tmp_path: Path
) -> None:
    def measure(task: EvaluationTask) -> EvaluationReport:
        (task.folder / "nearest-images.png").write_bytes(b"picture")
        name = task.dataset.manifest.name
        return EvaluationReport(
            "any/v1", (), str(task.dataset.folder), name, 16, 3, (), (), ("nearest-images.png",)
        )

    def together(measured: Sequence[MeasuredModel], out: Path) -> Sequence[Path]:
        (out / "all.png").write_bytes(b"picture")
        return [out / "all.png"]

    model = save_package(tmp_path / "vit", lineage={"run_id": made_by.run_id})
    for name in ("scenes", "photos"):
        dataset = str(make_dataset(name, [0, 1, 2]))
        options = EvaluationOptions([str(model)], dataset, out=tmp_path / name)
        evaluation = Evaluation("any", measure, together)
        measured = measure_models(evaluation, options, on_model=log_measured)
        log_together(evaluation, measured)
        kept = store.client.list_artifacts(made_by.run_id, f"probes/any-v1/{name}")
        assert {Path(each.path).name for each in kept} == {
            "all.png", "nearest-images.png", f"{name}.json",
        }  # fmt: skip
