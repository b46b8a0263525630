"""How several models are measured with one evaluation."""

from pathlib import Path

import pytest

from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, measure_models
from poise.config.errors import PoiseError
from poise.data.dataset import READ_ONCE_BYTES
from poise.evaluation.report import EvaluationReport, EvaluationTask
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.packages import save_package

__all__ = ["make_dataset"]  # a fixture


def test_memory_does_not_grow_with_the_dataset(make_dataset: MakeDataset, tmp_path: Path) -> None:
    seen: list[int] = []

    def measure(task: EvaluationTask) -> EvaluationReport:
        seen.append(task.dataset.cache_bytes)
        raise PoiseError("enough")

    models = [str(save_package(tmp_path / "vit"))]
    dataset = str(make_dataset("colours", [0, 1, 2]))
    options = EvaluationOptions(models, dataset, out=tmp_path / "out")
    with pytest.raises(PoiseError, match="enough"):
        measure_models(Evaluation("any", measure), options)
    assert seen == [READ_ONCE_BYTES]
