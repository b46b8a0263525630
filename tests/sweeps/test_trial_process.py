from dataclasses import replace
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.config.paths import home
from poise.studies.records import Change, TrialRecord
from poise.studies.study import Study
from poise.studies.trials import Trial
from poise.sweeps.trial_process import Context, _stopping_is_no_failure, _Superseded, carry_out
from poise.tracking.ending import _status_after
from poise.tracking.run import Run, create_study_run, create_trial_run
from poise.tracking.store import open_store
from tests.studies.builders import TEMPERATURE, make_record, make_study


@pytest.fixture
def begun(poise_home: Path) -> tuple[Study, Run]:
    """A study and its run."""
    study = make_study()
    return study, create_study_run(open_store(), "scenes", "s", study.folder)


def test_settings_that_do_not_go_together_fail_their_trial_with_one_line(
    begun: tuple[Study, Run], tmp_path: Path
) -> None:
    """As a searcher that decides as it goes may suggest them."""
    study, parent = begun
    trial = Trial("t01", 0, {"optimizer.warmup_epochs": 9}, 0)
    carry_out(trial.as_config(), Context(study, str(tmp_path), parent, board=None))
    record = study.record("t01")
    assert record is not None and record.run_id is not None
    assert (record.state, record.reason) == (
        "failed",
        "study s, trial t01: optimizer.warmup_epochs=9.0 is longer than training.epochs=2",
    )
    assert parent.store.client.get_run(record.run_id).info.status == "FAILED"


def test_a_node_that_does_not_share_the_study_writes_no_record_and_ends_the_study(
    begun: tuple[Study, Run],
) -> None:
    # The node made a folder of this name on its own disk, and its results were never seen.
    study, parent = begun
    marks = (str(study.folder / "written by the head"),)
    context = Context(study, str(home()), parent, board=None, marks=marks)
    with pytest.raises(PoiseError, match="is not shared"):
        carry_out(make_record("t01-s0").trial.as_config(), context)
    assert study.record("t01-s0") is None


def test_a_trial_that_failed_is_charged_for_the_steps_that_it_made(
    begun: tuple[Study, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, parent = begun

    def fail(_: Trial, context: Context, record: TrialRecord) -> TrialRecord:
        run = create_trial_run(context.run, "t01", study.trial_folder("t01"))
        study.write(replace(record, run_id=run.run_id))
        writer = run.open_writer()
        writer.log(6, {"loss/total": 1.0})
        writer.close()
        raise RuntimeError("out of memory")

    monkeypatch.setattr("poise.sweeps.trial_process._train", fail)
    trial = Trial("t01", 0, {TEMPERATURE: 0.04}, 0)
    carry_out(trial.as_config(), Context(study, str(tmp_path), parent, board=None))
    record = study.record("t01")
    assert record is not None and (record.state, record.step) == ("failed", 6)


def test_losing_its_workers_to_the_scheduler_is_not_a_trials_own_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stopped trial once saw its controller die and called itself failed over "stopped early".
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    study = make_study()
    begun = make_record("t01", state="running", verdict=None)
    study.write(begun)
    with pytest.raises(RuntimeError, match="its own"), _stopping_is_no_failure(study, begun):
        raise RuntimeError("its own")
    change = Change(4, "t02", "there", {TEMPERATURE: 0.05})
    for record in (replace(begun, state="stopped"), replace(begun, changes=(change,))):
        study.write(record)
        with pytest.raises(_Superseded) as ended, _stopping_is_no_failure(study, begun):
            raise RuntimeError("the controller died")
        assert _status_after(ended.value) == "FINISHED"
