import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.tracking import unsent_messages
from poise.tracking.ending import controlled, finish, reconcile
from poise.tracking.run import Run, create_run, log_files, log_json, set_tags
from poise.tracking.store import Store
from tests.tracking.faults import limited_file_size, locked


@contextmanager
def busy(store: Store) -> Iterator[None]:
    """The database is locked, and nobody waits long for it."""
    with locked(store), pytest.MonkeyPatch.context() as patch:
        patch.setattr(unsent_messages, "ANSWER_WITHIN_S", 0.3)
        yield


def status(run: Run) -> str:
    return str(run.store.client.get_run(run.run_id).info.status)


def tags_of(run: Run) -> dict[str, str]:
    return dict(run.store.client.get_run(run.run_id).data.tags)


@pytest.mark.slow
def test_a_store_that_is_busy_when_a_run_ends_gets_its_result_from_the_next_command(
    run: Run, tmp_path: Path
) -> None:
    """A lock of 20 s once made a finished trial a failed one."""
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"picture")
    with busy(run.store), controlled(run):
        set_tags(run, {"poise.verdict": "healthy", "poise.verdict_step": 40})
        set_tags(run, {"poise.verdict_step": 80})
        log_json(run, {"verdict": "healthy"}, "verdict.json")
        log_files(run, [picture], "pictures")
        picture.unlink()
    assert not run.outbox.is_empty and run.outbox.status == "FINISHED"

    assert reconcile(run.store) == [], "it ended by itself"
    assert run.outbox.is_empty and status(run) == "FINISHED"
    assert tags_of(run)["poise.verdict"] == "healthy"
    assert tags_of(run)["poise.verdict_step"] == "80", "the later of two"
    folder = Path(run.store.client.get_run(run.run_id).info.artifact_uri)
    assert json.loads((folder / "verdict.json").read_text()) == {"verdict": "healthy"}
    assert (folder / "pictures" / "curves.png").read_bytes() == b"picture"


@pytest.mark.slow
def test_a_store_that_just_did_not_answer_is_not_asked_for_every_tag(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    with busy(run.store):
        for step in range(5):
            set_tags(run, {"poise.verdict_step": step})
    (message,) = [record.getMessage() for record in caplog.records]
    assert "does not take the tags poise.verdict_step (no answer within 0.3 s)" in message
    assert str(run.outbox.folder) in message
    set_tags(run, {"poise.note": "soon after"})
    finish(run, "FINISHED")
    assert run.outbox.is_empty
    assert tags_of(run)["poise.verdict_step"] == "4"
    assert tags_of(run)["poise.note"] == "soon after"


def test_a_run_that_goes_on_forgets_how_it_had_ended(run: Run) -> None:
    run.outbox.keep({"poise.stopped_early": "by collapse", "poise.verdict": "uniform"}, "FAILED")
    again = create_run(run.store, "scenes", "dino-tiny", run.folder)
    assert again == run and again.outbox.status is None
    assert reconcile(run.store) == [] and status(run) == "RUNNING"
    finish(again, "FINISHED")
    assert status(run) == "FINISHED"
    assert tags_of(run)["poise.verdict"] == "uniform"
    assert "poise.stopped_early" not in tags_of(run)


def test_what_a_killed_run_left_waiting_is_stored_with_its_end(run: Run) -> None:
    run.outbox.keep({"poise.verdict": "uniform"})
    set_pid_of_nobody(run)
    assert reconcile(run.store) == [run.run_id]
    assert (status(run), tags_of(run)["poise.verdict"]) == ("KILLED", "uniform")


def set_pid_of_nobody(run: Run) -> None:
    run.store.client.set_tag(run.run_id, "poise.pid", "999999999")


def test_a_full_disk_beside_a_busy_store_costs_a_tag_and_a_line_and_no_run(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    Path(run.folder).mkdir(exist_ok=True)
    with busy(run.store), limited_file_size(0):
        set_tags(run, {"poise.verdict": "healthy"})
    last = caplog.records[-1].getMessage()
    assert "the tags poise.verdict is lost" in last and "File too large" in last


def test_what_the_store_refuses_for_good_is_one_line(store: Store, run: Run) -> None:
    store.client.delete_run(run.run_id)
    with pytest.raises(PoiseError, match="the MLflow store failed"):
        set_tags(run, {"poise.verdict": "healthy"})
    assert run.outbox.is_empty
    with pytest.raises(PoiseError, match="its status FINISHED could not be stored"):
        finish(run, "FINISHED")


def test_a_report_of_a_finished_run_that_a_busy_store_did_not_take_is_delivered_too(
    store: Store, tmp_path: Path
) -> None:
    run = create_run(store, "scenes", "dino-tiny", tmp_path / "home" / "dino-tiny")
    finish(run, "FINISHED")
    with busy(store):
        set_tags(run, {"poise.best_trial": "t01"})
    assert reconcile(store) == []
    assert tags_of(run)["poise.best_trial"] == "t01" and run.outbox.is_empty
    assert status(run) == "FINISHED"
