import json
import math
import socket
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import _validate_metric_name
from PIL import Image

from poise.tracking.metric_values import history
from poise.tracking.run import Run
from poise.tracking.run_writer import RunWriter, metric_name
from poise.tracking.store import Store
from poise.tracking.time_limits import Patience, is_refusal
from poise.tracking.unsent_metrics import SPILL_FILE, Point, Spill
from tests.tracking.faults import limited_file_size, locked
from tests.waiting import wait_until

HASTY = Patience(period_s=0.05, backoff_s=(0.05,), flush_s=0.3, retry_s=0.1)
GAVE_UP = "(no answer within 0.3 s)"  # the store itself refuses only much later


def stored(run: Run, key: str = "loss/total") -> list[tuple[int, float]]:
    return history(run.store, run.run_id, [key])[key]


def tag_of(run: Run, key: str) -> str:
    tags: dict[str, str] = run.store.client.get_run(run.run_id).data.tags
    return tags.get(key, "")


def waiting(run: Run) -> Path:
    return Path(run.folder) / SPILL_FILE


def test_everything_logged_before_a_flush_is_stored_before_it_returns(run: Run) -> None:
    """A checkpoint was once committed while its metrics were in memory: half of them were lost."""
    with closing(run.open_writer(Patience(period_s=3600))) as writer:
        for step in range(2000):  # more than two batches
            writer.log(step, {"loss/total": 1 / (step + 1)})
        writer.flush()
        assert stored(run) == [(step, 1 / (step + 1)) for step in range(2000)]


def test_a_sentence_for_the_user_becomes_a_tag_and_the_later_one_counts(run: Run) -> None:
    with closing(run.open_writer(HASTY)) as writer:
        writer.note(0, "workers", "starts with 4 of 4 workers")
        writer.note(8, "workers", "continues with 2 of 4 workers from step 8: one node is gone")
        wait_until(lambda: "continues with 2 of 4 workers" in tag_of(run, "poise.workers"))


def test_metrics_arrive_without_a_flush(run: Run) -> None:
    with closing(run.open_writer(HASTY)) as writer:
        writer.log(1, {"loss/total": 0.5})
        wait_until(lambda: stored(run))
        assert stored(run) == [(1, 0.5)]


@pytest.mark.slow
def test_a_locked_store_holds_up_no_step_and_loses_nothing(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    writer = run.open_writer(HASTY)
    with locked(run.store):
        for step in range(500):
            writer.log(step, {"loss/total": float(step)})
        writer.flush()
        assert len(waiting(run).read_text().splitlines()) == 500
        assert GAVE_UP in caplog.text, "it waited for the database, which refuses after 20 s"
    writer.close()
    wait_until(lambda: not waiting(run).exists())  # a sending may have begun under the lock
    assert [step for step, _ in stored(run)] == list(range(500))


def test_what_a_dead_process_left_on_disk_is_sent_by_the_next_one(run: Run) -> None:
    lines = [json.dumps(["loss/total", step / 2, 1000 + step, step]) for step in range(1000)]
    waiting(run).parent.mkdir(parents=True, exist_ok=True)
    waiting(run).write_text("\n".join(lines) + '\n["loss/total", 0.1')  # killed while writing
    with closing(run.open_writer()) as writer:
        writer.log(1000, {"loss/total": 500.0})
    assert stored(run) == [(step, step / 2) for step in range(1001)]
    assert not waiting(run).exists()


def test_sending_twice_stores_once(run: Run) -> None:
    for _ in range(2):
        waiting(run).parent.mkdir(parents=True, exist_ok=True)
        waiting(run).write_text('["loss/total", 0.5, 1000, 1]\n["x/odd", NaN, 1000, 1]\n')
        run.open_writer().close()
    assert len(run.store.client.get_metric_history(run.run_id, "loss/total")) == 1
    assert len(run.store.client.get_metric_history(run.run_id, "x/odd")) == 1


def test_a_store_that_answers_again_gets_what_waited(run: Run) -> None:
    """The run is moved away and back, so that sending fails at once rather than after 20 s."""
    run.store.client.delete_run(run.run_id)
    with closing(run.open_writer(HASTY)) as writer:
        writer.log(1, {"loss/total": 1.0})
        writer.flush()
        assert waiting(run).exists()
        run.store.client.restore_run(run.run_id)
        wait_until(lambda: not waiting(run).exists())
        assert stored(run) == [(1, 1.0)]


@pytest.mark.slow
def test_a_store_that_is_gone_is_reported_once(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.store.client.delete_run(run.run_id)
    with closing(run.open_writer(HASTY)) as writer:
        for step in range(3):
            writer.log(step, {"loss/total": 1.0})
            writer.flush()
            time.sleep(0.3)
    (message,) = [record.getMessage() for record in caplog.records]
    assert str(waiting(run)) in message


@pytest.mark.parametrize("by_way_of_the_file", [False, True])
def test_values_that_are_no_numbers_survive(run: Run, by_way_of_the_file: bool) -> None:
    odd = {"a": math.nan, "b": math.inf, "c": -math.inf}
    if by_way_of_the_file:
        waiting(run).parent.mkdir(parents=True, exist_ok=True)
        Spill(waiting(run)).append([Point(name, value, 1000, 1) for name, value in odd.items()])
        assert '["b", "inf", 1000, 1]\n' in waiting(run).read_text(), "JSON has no infinity"
        odd = {}
    with closing(run.open_writer()) as writer:
        writer.log(1, odd)
    values = history(run.store, run.run_id, ["a", "b", "c"])
    assert math.isnan(values["a"][0][1])
    assert (values["b"], values["c"]) == ([(1, math.inf)], [(1, -math.inf)])


def test_an_unreachable_server_costs_the_trainer_one_flush(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Store("http://127.0.0.1:9", artifacts=None)
    lost = replace(run, store=nowhere, folder=str(tmp_path / "lost"))
    writer = lost.open_writer(HASTY)
    writer.log(1, {"loss/total": 1.0})
    writer.close()
    assert GAVE_UP in caplog.text, "it waited until MLflow had tried for the last time"
    assert json.loads(waiting(lost).read_text())[0] == "loss/total"


def test_a_server_out_of_connections_is_asked_again_though_it_says_400() -> None:
    reason = "QueuePool limit of size 5 overflow 10 reached, connection timed out"
    assert not is_refusal(MlflowException.invalid_parameter_value(reason))
    assert is_refusal(MlflowException.invalid_parameter_value("nonsense"))
    assert not is_refusal(ConnectionResetError())


@pytest.mark.slow
@given(st.text(max_size=300))
def test_any_metric_name_becomes_one_that_mlflow_takes(name: str) -> None:
    kept = metric_name(name)
    _validate_metric_name(kept)  # raises where MLflow would
    assert 0 < len(kept) <= 250


def test_usual_metric_names_stay_as_they_are() -> None:
    for name in ("loss/over_ln_k", "throughput/images_per_s", "eval/knn_top1", "a.b: c-d"):
        assert metric_name(name) == name
    assert metric_name("eval/knn@1") == "eval/knn_1"


def test_a_writer_is_made_on_the_worker_from_plain_data(run: Run) -> None:
    from ray import cloudpickle

    make = cloudpickle.loads(cloudpickle.dumps(run.open_writer))
    with closing(make()) as writer:
        assert isinstance(writer, RunWriter)
        writer.log(3, {"loss/total": 2.0})
    assert stored(run) == [(3, 2.0)]


@pytest.mark.slow
def test_a_picture_becomes_an_artifact_of_its_step(run: Run, tmp_path: Path) -> None:
    pixels = torch.randint(0, 256, (3, 4, 6), dtype=torch.uint8)
    with closing(run.open_writer(Patience(period_s=3600))) as writer:
        writer.show(520, "reconstruction", pixels)
    path = "pictures/reconstruction/step-00000520.png"
    stored_file = run.store.client.download_artifacts(run.run_id, path, str(tmp_path))
    with Image.open(stored_file) as image:
        assert np.array_equal(np.asarray(image), pixels.permute(1, 2, 0).numpy())


def test_a_picture_that_cannot_be_stored_costs_a_warning_and_no_metric(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(run.open_writer(HASTY)) as writer:
        writer.show(1, "broken", torch.zeros(2, 3))
        writer.log(1, {"loss/total": 0.5})
    assert stored(run) == [(1, 0.5)]
    assert "pictures/broken/step-00000001.png is lost" in caplog.text


@pytest.mark.slow
def test_a_server_that_falls_silent_costs_the_trainer_one_wait_and_no_metric(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """It accepts and never answers. Each checkpoint once waited for it anew."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = Store(f"http://127.0.0.1:{silent.getsockname()[1]}", artifacts=None)
        lost = replace(run, store=store, folder=str(tmp_path / "lost"))
        writer = lost.open_writer(replace(HASTY, flush_s=0.5))
        for step in range(40):
            writer.log(step, {"loss/total": 1.0})
            writer.flush()
        writer.close()
        (message,) = [each.getMessage() for each in caplog.records if "poise" in each.name]
        assert "(no answer within 0.5 s); training goes on" in message
        assert len(waiting(lost).read_text().splitlines()) == 40
        silent.settimeout(0)
        with silent.accept()[0], pytest.raises(BlockingIOError):  # it was asked once
            silent.accept()


def test_a_full_disk_beside_a_silent_store_is_one_line_and_training_goes_on(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    lost = replace(run, store=Store("http://127.0.0.1:9", None), folder=str(tmp_path / "lost"))
    writer = lost.open_writer(replace(HASTY, flush_s=0.1))
    with limited_file_size(100):
        for step in range(5):
            writer.log(step, {"loss/total": 1.0})
            writer.flush()
    messages = [record.getMessage() for record in caplog.records]
    (message,) = [each for each in messages if "only in memory" in each]
    assert f"{waiting(lost)}: File too large; training goes on" in message
    writer.flush()
    assert len(Spill(waiting(lost)).read()[0]) == 5, "there is room again"
    writer.close()


def test_a_point_that_the_disk_cuts_short_spoils_no_other(tmp_path: Path) -> None:
    points = [Point("loss/total", 0.5, 1000, step) for step in range(3)]
    spill = Spill(tmp_path / "points")
    spill.append(points[:1])
    with limited_file_size(40), pytest.raises(OSError, match="File too large"):
        spill.append(points[1:2])
    spill.append(points[1:2])
    with spill.path.open("a") as file:
        file.write('["loss/to')  # a process that was killed while it wrote
    spill.append(points[2:])
    assert spill.read()[0] == points
