"""What becomes of the errors of one evaluation among several."""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from poise.cli.evaluate import results
from poise.cli.evaluate.measured import Evaluation, EvaluationOptions, MeasuredModel
from poise.cli.evaluate.models import open_models
from poise.cli.evaluate.results import Results
from poise.config.errors import PoiseError
from poise.data.dataset import ImageDataset
from poise.evaluation.report import EvaluationReport, EvaluationTask, Figure
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.packages import save_package

__all__ = ["make_dataset"]  # a fixture

CarryOut = Callable[[Evaluation], Results]


def measure(task: EvaluationTask) -> EvaluationReport:
    return EvaluationReport("any/v1", (), "colours", "colours", 16, 3, (Figure("answer", 42),))


@pytest.fixture
def carry_out(make_dataset: MakeDataset, tmp_path: Path) -> CarryOut:
    def carry_out(evaluation: Evaluation) -> Results:
        folder, model = str(make_dataset("colours", [0, 1, 2])), str(save_package(tmp_path / "vit"))
        found = Results({})
        options = EvaluationOptions([model], folder, out=tmp_path / "out")
        found.add(evaluation, options, ImageDataset.open(folder), open_models([model]))
        return found

    return carry_out


def test_values_that_the_store_refuses_stay_in_the_table_and_count_as_a_failure(
    carry_out: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(measured: MeasuredModel) -> None:
        raise PoiseError("store: the evaluation could not be logged")

    monkeypatch.setattr(results, "log_measured", refuse)
    found = carry_out(Evaluation("any", measure))
    assert found.measured["any"][0].report.figures_found[0].value == 42
    assert found.failed == {"any": "store: the evaluation could not be logged"}
    assert found.left_out == {} and str(found.failure).startswith("1 evaluation failed (any: store")


def test_files_about_all_models_that_cannot_be_drawn_leave_the_values(carry_out: CarryOut) -> None:
    def crash(measured: Sequence[MeasuredModel], out: Path) -> Sequence[Path]:
        raise ValueError("no axis")

    found = carry_out(Evaluation("any", measure, crash))
    assert [*found.measured] == ["any"] and found.failed == {"any": "ValueError: no axis"}


def test_an_evaluation_that_the_dataset_does_not_allow_is_left_out(carry_out: CarryOut) -> None:
    def refuse(task: EvaluationTask) -> EvaluationReport:
        raise PoiseError("no masks")

    found = carry_out(Evaluation("any", refuse))
    assert found.left_out == {"any": "no masks"}
    assert found.measured == {} and found.failure is None


def test_a_full_disk_ends_all_evaluations(carry_out: CarryOut) -> None:
    def fill(task: EvaluationTask) -> EvaluationReport:
        raise OSError(errno.ENOSPC, "", "picture.png")

    with pytest.raises(OSError, match=r"picture\.png"):
        carry_out(Evaluation("any", fill))
