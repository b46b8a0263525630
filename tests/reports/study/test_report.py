from poise.config.wording import short_names
from poise.diagnostics.judge import VerdictKind
from poise.studies.outcomes import best_of
from poise.sweeps.trial_process import reason
from tests.studies.builders import make_record

METRIC = "eval/knn_top1"


def test_the_best_trial_is_healthy_and_trained_to_its_end() -> None:
    records = [
        make_record("t01", 50.0, kind=VerdictKind.SINGLE_PROTOTYPE),
        make_record("t02", 45.0, kind=VerdictKind.UNDECIDED),
        make_record("t03", 40.0, state="stopped"),
        make_record("t04", 20.0),
        make_record("t05", 30.0),
        make_record("t06", state="failed", verdict=None, reason="no"),
        make_record("t07"),
        make_record("t08", float("nan")),
    ]
    for ordered in (records, records[::-1]):
        best, worst = best_of(ordered, METRIC, "max"), best_of(ordered, METRIC, "min")
        assert best is not None and best.trial.name == "t05"
        assert worst is not None and worst.trial.name == "t04"
    assert best_of(records[:3], METRIC, "max") is None


def test_names_are_short_unless_two_would_be_alike() -> None:
    assert short_names(["a.b", "c.d"]) == ["b", "d"]
    assert short_names(["a.b", "c.b", "d"]) == ["a.b", "c.b", "d"]


def test_the_reason_of_a_failure_is_its_first_cause_in_one_line() -> None:
    class WorkerGroupError(Exception):
        worker_failures = {1: ValueError("shapes\n  differ")}  # noqa: RUF012

    assert reason(WorkerGroupError("Training failed\nTraceback …")) == "ValueError: shapes differ"
    assert reason(KeyError("x")) == "KeyError: 'x'"
