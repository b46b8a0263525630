import pytest

from poise.diagnostics.judge import VerdictKind
from poise.reports.study.choice_sentences import choosing
from poise.studies.analysis.label_free_choice import select
from poise.studies.findings.findings import find
from poise.studies.records import TrialRecord
from tests.studies.builders import make_space, make_study
from tests.studies.samples import HEALTHY, METRIC, SINGLE, trial_record

SPACE = make_space()


def test_a_metric_without_labels_is_held_against_the_one_with_labels() -> None:
    # RankMe orders all but the last two as k-NN does, and would choose the second best.
    figures = [(10.0, 1.0), (20.0, 2.0), (30.0, 4.0), (33.0, 3.0)]
    records = [
        trial_record(n, 0, metrics={METRIC: knn, "eval/rankme": rank, "loss/total": 5 - knn / 10})
        for n, (knn, rank) in enumerate(figures)
    ]
    found = select(SPACE, records)
    assert found is not None and found.best is records[3] and found.best_healthy is records[3]
    rankme, loss = found.selectors
    assert rankme.metric == "eval/rankme"
    assert rankme.everything.correlation.value == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert (rankme.everything.trial, rankme.everything.regret) == ("t03-s0", 3.0)
    # A loss is good where it is small: its correlation counts towards that end.
    assert loss.mode == "min"
    assert loss.everything.correlation.value == pytest.approx(1)
    assert loss.everything.regret == 0


def test_collapsed_trials_mislead_a_loss_only_where_they_are_looked_at() -> None:
    records = [
        trial_record(n, 0, metrics={METRIC: 20.0 + n, "loss/total": 3.0 - 0.1 * n})
        for n in range(3)
    ]
    collapsed = trial_record(3, 0, kind=SINGLE, metrics={METRIC: 10.0, "loss/total": 0.0})
    found = select(SPACE, [*records, collapsed])
    assert found is not None
    (loss,) = found.selectors
    assert (loss.everything.trial, loss.everything.regret) == ("t04-s0", 12.0)
    assert (loss.healthy.trial, loss.healthy.regret) == ("t03-s0", 0.0)


def test_what_labels_choose_is_told_with_its_verdict_and_every_metric_that_ties() -> None:
    def record(setting: int, knn: float, kind: VerdictKind = HEALTHY) -> TrialRecord:
        metrics = {METRIC: knn, "eval/rankme": knn, "eval/lidar": knn, "loss/total": knn}
        return trial_record(setting, 0, kind=kind, metrics=metrics)

    def told(*records: TrialRecord) -> str:
        found = find(make_study(SPACE), records, {})
        assert found.selection is not None
        return choosing(found, found.selection)

    healthy = [record(0, 20.0), record(1, 21.0), record(3, 19.0)]
    assert told(*healthy, record(2, 30.0, SINGLE)) == (
        "With labels, the best trial is t03-s0. Its k-NN accuracy is 30.0 %, and its verdict is "
        "“collapsed: single prototype”. The best healthy trial is t02-s0 with 21.0 %. Without "
        "labels, RankMe and LiDAR would each choose t02-s0 among the 3 healthy trials. No "
        "healthy trial is better by k-NN accuracy."
    )
    assert told(record(2, 30.0, SINGLE)).endswith("No healthy trial has a value of this metric.")


def test_a_choice_that_was_luck_is_not_called_best() -> None:
    def told(settings: tuple[int, ...], ranks: tuple[float, ...]) -> str:
        records = [
            trial_record(setting, seed, metrics={METRIC: 20.0 + seed, "eval/rankme": rank})
            for seed, (setting, rank) in enumerate(zip(settings, ranks, strict=True))
        ]
        found = find(make_study(SPACE), records, {})
        assert found.selection is not None
        return choosing(found, found.selection)

    # The largest RankMe is that of the best k-NN, and the order is wrong all the same.
    assert "No metric without labels ranks the" in told(tuple(range(6)), (5, 4, 3, 2, 1, 6))
    assert "Only one setting is healthy, so this study cannot answer" in told(
        (0, 0, 0), (1.0, 2.0, 3.0)
    )
    assert "Only 2 trials are healthy and have a metric that needs no labels." in told(
        (0, 1), (1.0, 2.0)
    )
    assert "RankMe would choose t03-s2 among the 3 healthy trials" in told(
        (0, 1, 2), (1.0, 2.0, 3.0)
    )


def test_metrics_of_training_stand_in_for_those_of_evaluation() -> None:
    record = trial_record(0, 0, metrics={METRIC: 20.0, "features/rankme": 3.0})
    found = select(SPACE, [record])
    assert found is not None and found.selectors[0].metric == "features/rankme"
    assert found.selectors[0].everything.correlation.value is None


def test_only_what_labels_give_is_a_figure_to_choose_towards() -> None:
    space = make_space(metric=["eval/cls_cls_attention", METRIC], mode=["min", "max"])
    metrics = {METRIC: 20.0, "eval/cls_cls_attention": 0.5, "eval/rankme": 3.0}
    found = select(space, [trial_record(0, 0, metrics=metrics)])
    assert found is not None and found.target == METRIC


def test_without_labels_there_is_nothing_to_hold_against() -> None:
    assert select(SPACE, [trial_record(0, 0)]) is None
    assert select(SPACE, []) is None
