"""What becomes of a study's trials while MLflow's store does not answer."""

import json
from dataclasses import replace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from poise.diagnostics.judge import VerdictKind
from poise.studies.study import Study
from poise.sweeps.trial_recorder import TrialRecorder
from poise.sweeps.trial_runs import catch_up, seen_history
from poise.tracking import store as stores
from poise.tracking.run import Run, create_study_run
from poise.tracking.store import Store, open_store
from poise.training.checkpoint import RUN_FILE, STATE_FILE
from tests.sweeps.test_trial_recorder import began, start, study

__all__ = ["study"]  # a fixture


class _Unreachable:
    """A client whose server is gone."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any, **__: Any) -> None:
            self.calls.append(name)
            raise MlflowException("connection refused")

        return call


@pytest.fixture
def parent(study: Study) -> Run:
    return create_study_run(open_store(), "scenes", "s", study.folder)


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> _Unreachable:
    client, found = _Unreachable(), stores._client
    monkeypatch.setattr(stores, "_client", lambda uri: client if "gone" in uri else found(uri))
    return client


def out_of_reach(parent: Run) -> Run:
    return replace(parent, store=Store("http://gone", None))


def train(study: Study, parent: Run, name: str, steps: int) -> Run:
    """A trial that trained into a collapse and wrote two checkpoints, then lost the store."""
    run = start(study, name, parent)
    record = study.record(name)
    assert record is not None
    history = seen_history(parent, record)
    for at, until in (("2026-01-02_10-00-00", steps // 2), ("2026-01-02_10-05-00", steps)):
        folder = study.trial_folder(name) / f"checkpoint_{at}"
        folder.mkdir()
        seen = [(step, metrics) for step, metrics in history if step <= until]
        (folder / RUN_FILE).write_text(
            json.dumps({"step": seen[-1][0], "recipe": {}, "history": seen})
        )
        (folder / STATE_FILE).touch()
    return run


@pytest.mark.slow
def test_a_trial_that_is_stopped_while_the_store_is_out_of_reach_ends_without_it(
    study: Study, parent: Run, unreachable: _Unreachable
) -> None:
    # The error of the store once ended the whole study, and with it the trials beside this one.
    run = train(study, parent, "t01", 40)
    lines: list[str] = []
    recorder = TrialRecorder(study, out_of_reach(parent), lines.append)
    stopped = recorder.settle("t01", result={"step": 42, "eval/knn_top1": 42.0})
    assert stopped is not None and stopped == study.record("t01")
    assert (stopped.state, stopped.step, stopped.metrics["eval/knn_top1"]) == ("stopped", 42, 42)
    assert stopped.verdict is not None and stopped.verdict.kind is VerdictKind.SINGLE_PROTOTYPE
    assert lines == [
        "t01  is not up to date in MLflow yet: the MLflow store failed: connection refused"
    ]

    catch_up(parent, study)  # the store answers again
    found = parent.store.client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.tags["poise.verdict"] == "collapsed: single prototype"
    assert found.data.tags["poise.stopped_early"] == "by asha after step 42 of 100"
    assert seen_history(parent, stopped)[-1] == (42, {"eval/knn_top1": 42.0})
    ended_ms = found.info.end_time
    catch_up(parent, study)
    assert parent.store.client.get_run(run.run_id).info.end_time == ended_ms, "it is left as it is"


def test_ctrl_c_while_the_store_is_out_of_reach_loses_nothing_that_was_spent(
    study: Study, parent: Run, unreachable: _Unreachable, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first trial's run could not be ended: a person saw that error instead of their Ctrl-C,
    # and the hours of the other trials were lost.
    now_s = 100.0
    monkeypatch.setattr("poise.sweeps.trial_recorder.time.monotonic", lambda: now_s)
    lines: list[str] = []
    recorder = TrialRecorder(study, out_of_reach(parent), lines.append)
    names = ("t01", "t02", "t03")
    for name in names:
        train(study, parent, name, 30)
        began(recorder, name)
    lines.clear()
    now_s = 130.0
    recorder.end_interrupted()
    for record in map(study.record, names):
        assert record is not None
        assert (record.state, record.step, record.seconds) == ("running", 30, 30.0)
        assert record.metrics["eval/knn_top1"] == 30
    assert len(lines) == 1, "a store that does not answer is not asked for each trial"
    assert len(unreachable.calls) == 1


def test_a_trial_that_left_no_checkpoint_is_settled_without_the_store_as_well(
    study: Study, parent: Run, unreachable: _Unreachable
) -> None:
    runs = [start(study, name, parent) for name in ("t01", "t02")]
    recorder = TrialRecorder(study, out_of_reach(parent), lambda line: None)
    died, stopped = recorder.settle("t01", died=True), recorder.settle("t02")
    assert died is not None and died.state == "failed"
    assert stopped is not None and stopped.state == "stopped" and stopped.verdict is not None
    catch_up(parent, study)
    statuses = [parent.store.client.get_run(run.run_id).info.status for run in runs]
    assert statuses == ["FAILED", "FINISHED"]
