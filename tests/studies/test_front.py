from poise.config.space import Goal
from poise.diagnostics.judge import VerdictKind
from poise.studies.outcomes import pareto_front
from tests.studies.builders import make_record

KNN, SPEED = Goal("eval/knn_top1", "max"), Goal("throughput/s_per_step", "min")


def test_a_front_has_whoever_no_other_healthy_trial_beats_in_everything() -> None:
    figures = {
        "t01-s0": (40.0, 1.0),
        "t02-s0": (50.0, 2.0),
        "t03-s0": (45.0, 2.0),  # slower than the first, and less than the second
        "t04-s0": (30.0, 1.0),  # as fast as the first, and less
        "t05-s0": (50.0, 2.0),  # as the second in everything: neither is better
    }
    records = [
        make_record(name, metrics={KNN.metric: knn, SPEED.metric: seconds})
        for name, (knn, seconds) in figures.items()
    ]
    both = {KNN.metric: 90.0, SPEED.metric: 0.1}
    records += [
        make_record("t06-s0", metrics=both, kind=VerdictKind.UNIFORM),
        make_record("t07-s0", metrics=both, state="stopped"),
        make_record("t08-s0", metrics={KNN.metric: 90.0}),
    ]
    front = [record.trial.name for record in pareto_front(records, (KNN, SPEED))]
    assert front == ["t02-s0", "t05-s0", "t01-s0"]
    assert [r.trial.name for r in pareto_front(records, (SPEED,))] == ["t01-s0", "t04-s0"]
    assert pareto_front([], (KNN,)) == []
