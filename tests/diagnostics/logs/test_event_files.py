"""TensorBoard's event files, written by its own writer."""

import builtins
import math
from pathlib import Path
from typing import Any

import pytest

from poise.config import PoiseError
from poise.diagnostics.judge import VerdictKind
from poise.diagnostics.logs.facts import Facts
from poise.diagnostics.logs.judging import judge_log
from poise.diagnostics.logs.reading.opening import open_log


def write(folder: Path, **series: list[tuple[int, float]]) -> Path:
    """An event file with these series of pairs of step and value."""
    writer_of = pytest.importorskip("torch.utils.tensorboard").SummaryWriter
    with writer_of(str(folder)) as writer:
        for name, points in series.items():
            for step, value in points:
                writer.add_scalar(name.replace("__", "/"), value, step)
    return folder


@pytest.fixture(autouse=True)
def _tensorboard() -> None:
    pytest.importorskip("tensorboard")


@pytest.mark.slow
def test_scalars_are_read_by_step(tmp_path: Path) -> None:
    write(tmp_path, train__loss=[(10, 8.5), (20, 8.25)], val__loss=[(20, 8.0)])
    log = open_log(str(tmp_path))
    assert log.history == [(10, {"train/loss": 8.5}), (20, {"train/loss": 8.25, "val/loss": 8.0})]
    assert (log.layout, log.rows) == ("TensorBoard", 3)
    (file,) = tmp_path.iterdir()
    assert open_log(str(file)).history == log.history


@pytest.mark.slow
def test_series_that_count_epochs_do_not_disturb_those_that_count_steps(tmp_path: Path) -> None:
    both = [(100 * i, 8.0) for i in range(1, 20)], [(i, 1.0) for i in range(19)]
    write(tmp_path, loss=both[0], val=both[1])
    assert open_log(str(tmp_path)).columns == {"val": 19, "loss": 19}


@pytest.mark.slow
def test_a_loss_of_every_step_is_compared_with_rare_entropies(tmp_path: Path) -> None:
    """The loss has so many values that it keeps only odd steps, and the entropies are at even."""
    ln_k, rare = math.log(4096), range(0, 10_000, 50)
    write(
        tmp_path,
        loss=[(step, (1.2 if step > 5000 else 0.7) * ln_k) for step in range(10_000)],
        teacher__entropy=[(step, 0.4 * ln_k) for step in rare],
        teacher__marginal_entropy=[(step, 0.8 * ln_k) for step in rare],
    )
    judged = judge_log(open_log(str(tmp_path)), Facts(prototypes=4096, batch_size=256))
    assert judged.verdict.kind is VerdictKind.SWINGING


@pytest.mark.slow
def test_a_cut_off_event_file_is_read_to_its_end(tmp_path: Path) -> None:
    write(tmp_path, loss=[(step, 8.0) for step in range(100)])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-500])
    assert 50 < len(open_log(str(tmp_path)).history) < 100


@pytest.mark.slow
def test_a_folder_without_scalars_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(PoiseError, match="has no scalars"):
        open_log(str(tmp_path))


def test_without_tensorboard_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("tensorboard"):
            raise ModuleNotFoundError(name)
        return plain(name, *arguments, **options)

    path = tmp_path / "events.out.tfevents.1700000000.host"
    path.write_bytes(b"\0" * 64)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PoiseError, match=r"pip install 'poise\[tensorboard\]'"):
        open_log(str(path))
