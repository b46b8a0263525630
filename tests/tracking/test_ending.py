import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from poise.tracking.ending import controlled, finish, reconcile
from poise.tracking.metric_values import history
from poise.tracking.run import Run, create_study_run, create_trial_run, set_tags
from poise.tracking.store import Store
from poise.tracking.unsent_metrics import SPILL_FILE


def status(run: Run) -> str:
    return str(run.store.client.get_run(run.run_id).info.status)


def test_a_block_that_ends_well_is_finished(run: Run) -> None:
    with controlled(run):
        assert status(run) == "RUNNING"
    assert status(run) == "FINISHED"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyboardInterrupt(), "KILLED"),
        (SystemExit(128 + signal.SIGTERM), "KILLED"),
        (SystemExit(signal.SIGTERM), "KILLED"),  # how Ray's own handler leaves
        (SystemExit(1), "FAILED"),
        (SystemExit(0), "FINISHED"),
        (ValueError("loss is NaN"), "FAILED"),
    ],
)
def test_every_way_out_of_a_run_has_its_status(
    run: Run, error: BaseException, expected: str
) -> None:
    """MLflow on its own calls `sys.exit(1)` and an uncaught exception FINISHED."""
    with pytest.raises(type(error)), controlled(run):
        raise error
    assert status(run) == expected


def test_finishing_sends_metrics_that_a_worker_could_not(run: Run) -> None:
    (Path(run.folder) / SPILL_FILE).write_text('["loss/total", 0.5, 1000, 1]\n')
    finish(run, "FINISHED")
    assert history(run.store, run.run_id, ["loss/total"]) == {"loss/total": [(1, 0.5)]}


def test_a_late_answer_does_not_end_a_run_before_its_metrics_are_there(run: Run) -> None:
    """A message that found no server is sent by its own thread when the server is back.

    It took the status along. The run was over then, so nobody looked for the waiting metrics.
    """
    (Path(run.folder) / SPILL_FILE).write_text('["loss/total", 0.5, 1000, 1]\n')
    run.outbox.keep({"poise.verdict": "healthy"}, status="FINISHED")
    run.outbox.deliver(run.store.client)
    assert status(run) == "FINISHED"
    assert history(run.store, run.run_id, ["loss/total"]) == {"loss/total": [(1, 0.5)]}


def test_metrics_that_cannot_be_read_do_not_keep_a_run_from_its_end(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    (Path(run.folder) / SPILL_FILE).mkdir()
    run.outbox.keep(status="FINISHED")
    run.outbox.deliver(run.store.client)
    assert status(run) == "FINISHED"
    assert "its last metrics are not stored" in caplog.text


@pytest.mark.slow
def test_runs_of_a_dead_controller_are_closed_and_all_others_left_alone(
    store: Store, tmp_path: Path
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    study = create_study_run(store, "scenes", "dead", tmp_path / "dead")
    trial = create_trial_run(study, "0", tmp_path / "dead" / "0")
    for run in (study, trial):
        set_tags(run, {"poise.pid": ended.pid})
    reused = create_study_run(store, "scenes", "its pid was given to another", tmp_path / "reused")
    started_s = psutil.Process().create_time() - psutil.boot_time() - 60
    set_tags(reused, {"poise.process_started_s": started_s})
    elsewhere = create_study_run(store, "scenes", "elsewhere", tmp_path / "elsewhere")
    set_tags(elsewhere, {"poise.pid": ended.pid, "poise.host": socket.gethostname() + "-2"})
    mine = create_study_run(store, "another experiment", "mine", tmp_path / "mine")
    foreign = store.client.create_run(mine.experiment_id).info.run_id

    assert set(reconcile(store)) == {study.run_id, trial.run_id, reused.run_id}
    assert [status(run) for run in (study, trial, reused)] == ["KILLED"] * 3
    assert [status(run) for run in (elsewhere, mine)] == ["RUNNING"] * 2
    assert store.client.get_run(foreign).info.status == "RUNNING"
    reason = store.client.get_run(trial.run_id).data.tags["poise.killed_because"]
    assert reason == f"process {ended.pid} on {socket.gethostname()} is gone"
    assert reconcile(store) == []
