from poise.diagnostics import VerdictKind
from poise.sweeps.outcomes import best_of
from poise.sweeps.report import table
from poise.sweeps.trial import reason
from poise.sweeps.wording import short_names
from tests.sweeps.builders import make_record, make_space, make_study

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


def test_the_table_shows_what_varies_and_how_each_trial_ended() -> None:
    records = [
        make_record("t01", 31.26, seconds=12.4),
        make_record("t02", state="failed", verdict=None, reason="no"),
        make_record("t03", 10.0, kind=VerdictKind.UNIFORM, state="stopped"),
        make_record("t04", state="running", verdict=None),
    ]
    headers, rows = table(make_study(), records)
    assert headers == ["trial", "teacher_temp", "seed", "verdict", "k-NN %", "untrained",
                       "loss / ln K", "steps", "seconds"]  # fmt: skip
    assert rows[0] == ["t01", "0.04", 0, "healthy", 31.3, None, 0.5, 8, 12]
    assert [row[3] for row in rows] == [
        "healthy", "failed", "collapsed: uniform (stopped early)", "interrupted",
    ]  # fmt: skip
    by_loss = make_study(make_space(metric="features/rankme"))
    assert "features/rankme" in table(by_loss, records)[0]


def test_names_are_short_unless_two_would_be_alike() -> None:
    assert short_names(["a.b", "c.d"]) == ["b", "d"]
    assert short_names(["a.b", "c.b", "d"]) == ["a.b", "c.b", "d"]


def test_the_reason_of_a_failure_is_its_first_cause_in_one_line() -> None:
    class WorkerGroupError(Exception):
        worker_failures = {1: ValueError("shapes\n  differ")}  # noqa: RUF012

    assert reason(WorkerGroupError("Training failed\nTraceback …")) == "ValueError: shapes differ"
    assert reason(KeyError("x")) == "KeyError: 'x'"
