import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from poise.config.paths import home
from poise.diagnostics.judge import VerdictKind
from poise.studies.analysis.cost import cost
from poise.studies.records import Change, begun_again
from poise.studies.study import Study
from poise.sweeps.trial_process import Context, carry_out
from poise.sweeps.trial_recorder import DIED, TrialRecorder, ending
from poise.tracking.run import Run, create_study_run, create_trial_run
from poise.tracking.store import open_store
from tests.studies.builders import TEMPERATURE, make_record, make_space, make_study


@pytest.fixture
def study(poise_home: Path) -> Study:
    return make_study(make_space(scheduler={"name": "asha"}))


def start(study: Study, name: str, parent: Run) -> Run:
    """A trial as its process leaves it when it is stopped: running, with metrics."""
    run = create_trial_run(parent, name, study.trial_folder(name))
    study.write(
        make_record(name, state="running", verdict=None, run_id=run.run_id, total_steps=100)
    )
    writer = run.open_writer()
    for step in range(2, 42, 2):  # collapsed from step 20 on, of 32 prototypes
        entropy, information = (1.0, 1.5) if step < 20 else (0.01, 0.0)
        teacher = {"teacher/entropy": entropy, "teacher/mutual_information": information}
        writer.log(step, {**teacher, "teacher/kl": 0.1, "eval/knn_top1": float(step)})
    writer.close()
    return run


def test_a_trial_that_no_longer_runs_is_settled_once(study: Study) -> None:
    parent = create_study_run(open_store(), "scenes", "s", study.folder)
    runs = {name: start(study, name, parent) for name in ("t01", "t02", "t03")}
    lines: list[str] = []
    recorder = TrialRecorder(study, parent, lines.append)

    # What was reported last may not have left the trial's own writer.
    stopped = recorder.settle("t01", result={"step": 42, "eval/knn_top1": 42.0, "config": {}})
    assert stopped is not None and stopped.verdict is not None
    assert (stopped.state, stopped.step, stopped.metrics["eval/knn_top1"]) == ("stopped", 42, 42)
    assert stopped.verdict.kind is VerdictKind.SINGLE_PROTOTYPE
    assert stopped.verdict.onset_step == 20
    assert stopped.outcome == "collapsed: single prototype"
    assert recorder.settle("t01") == stopped == study.record("t01")

    died = recorder.settle("t02", died=True)
    assert died is not None and (died.state, died.reason) == ("failed", DIED)

    recorder.end_interrupted()
    assert study.record("t03").state == "running"  # type: ignore[union-attr]
    found = {name: parent.store.client.get_run(run.run_id) for name, run in runs.items()}
    statuses = {name: run.info.status for name, run in found.items()}
    assert statuses == {"t01": "FINISHED", "t02": "FAILED", "t03": "KILLED"}
    assert found["t01"].data.tags["poise.stopped_early"] == "by asha after step 42 of 100"
    assert found["t01"].data.tags["poise.verdict"] == "collapsed: single prototype"


def began(recorder: TrialRecorder, name: str) -> None:
    """As Tune tells of a trial that starts."""
    config = replace(make_record(name).trial, name=name).as_config()
    recorder.on_trial_start(0, [], SimpleNamespace(config=config))


def test_what_an_interrupted_trial_spent_is_written_down(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It cost 0 steps and 0 hours once, and what it had measured was not in the table.
    now_s = 100.0
    monkeypatch.setattr("poise.sweeps.trial_recorder.time.monotonic", lambda: now_s)
    parent = create_study_run(open_store(), "scenes", "s", study.folder)
    recorder = TrialRecorder(study, parent, lambda line: None)
    start(study, "t01", parent)
    start(study, "t02", parent)
    began(recorder, "t01")  # and t02 was left by a process that was killed: nobody saw it start
    now_s = 130.0
    recorder.end_interrupted()
    first, second = study.records()
    assert (first.state, first.step, first.seconds) == ("running", 40, 30.0)
    assert first.metrics["eval/knn_top1"] == 40 and first.verdict is None
    assert (second.step, second.seconds) == (40, 0.0)

    spent = cost(study, study.records())
    assert spent.steps == 80 and spent.hours == pytest.approx(30 / 3600)
    again = begun_again(first)
    assert (again.step, again.seconds) == (40, 30.0), "the next attempt adds to it"


def test_a_trial_keeps_the_hours_of_the_attempts_that_its_population_superseded(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr("poise.sweeps.trial_recorder.time.monotonic", lambda: now_s)
    parent = create_study_run(open_store(), "scenes", "s", study.folder)
    recorder = TrialRecorder(study, parent, lambda line: None)
    change = Change(20, "t02", "/there", {TEMPERATURE: 0.05})
    start(study, "t01", parent)
    began(recorder, "t01")
    for now_s, waited_s, spent_s in ((40.0, 5.0, 40.0), (60.0, 0.0, 55.0)):
        recorder.exchange("t01", change)
        record = study.record("t01")
        assert record is not None and record.seconds == spent_s
        now_s += waited_s
        began(recorder, "t01")
        assert record.changes[-1] == change
    now_s = 90.0
    began(recorder, "t01")  # Tune paused it, to let another train
    record = study.record("t01")
    assert record is not None and record.seconds == 55.0 + 30.0


def test_a_trial_that_ended_while_its_population_exchanged_stays_as_it_ended(
    study: Study,
) -> None:
    parent = create_study_run(open_store(), "scenes", "s", study.folder)
    recorder = TrialRecorder(study, parent, pytest.fail)
    ended = make_record("t01-s0", knn=30.0)
    study.write(ended)
    recorder.exchange("t01-s0", Change(4, "t02-s0", "/there", {TEMPERATURE: 0.05}))
    assert study.record("t01-s0") == ended
    carry_out(ended.trial.as_config(), Context(study, str(home()), parent, board=None))
    assert study.record("t01-s0") == ended, "though Tune had it begin again"


def test_a_trial_that_never_began_has_nothing_to_settle(study: Study) -> None:
    parent = create_study_run(open_store(), "scenes", "s", study.folder)
    assert TrialRecorder(study, parent, print).settle("t09") is None


def test_a_trial_that_died_before_it_left_a_record_is_in_the_table_all_the_same(
    study: Study,
) -> None:
    # An actor that Tune could not start a trial in once left the study with one trial fewer.
    parent = create_study_run(open_store(), "scenes", "s", study.folder)
    lines: list[str] = []
    trial = make_record("t03").trial
    recorder = TrialRecorder(study, parent, lines.append)
    recorder.plan(trial)
    (planned,) = parent.store.search_runs("attributes.status = 'SCHEDULED'")
    assert planned.data.params == {TEMPERATURE: "0.04", "seed": "0"}
    recorder.on_trial_error(0, [], SimpleNamespace(config=trial.as_config()))
    assert parent.store.client.get_run(planned.info.run_id).info.status == "FAILED"
    assert lines == [f"t03  ended with an error: {DIED}"]
    assert [record.outcome for record in study.records()] == ["failed"]


def test_an_ending_shows_what_the_study_looks_for_beside_the_k_nn() -> None:
    record = make_record(knn=12.5)
    assert ending(record, "eval/knn_top1") == "healthy; ended at step 8; k-NN 12.5 %. evidence"
    told = "healthy; ended at step 8; k-NN 12.5 %; loss/over_ln_k 0.500. evidence"
    assert ending(record, "loss/over_ln_k") == told
    assert ending(make_record(), "loss/over_ln_k") == "healthy; ended at step 8. evidence"


def test_a_record_survives_being_written_also_with_what_json_has_no_word_for(
    study: Study,
) -> None:
    record = make_record(knn=12.5)
    study.write(record)
    assert study.record("t01-s0") == record
    study.write(make_record(knn=math.inf, kind=VerdictKind.DIVERGED))
    (read,) = study.records()
    assert math.isnan(read.metrics["eval/knn_top1"])
