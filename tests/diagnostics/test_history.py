"""A run's metrics over its steps."""

from poise.diagnostics.history import newest_metrics


def test_the_newest_value_of_each_metric_counts_whenever_it_was_logged() -> None:
    history = [(0, {"eval/knn_top1": 20.0}), (8, {"loss/total": 6.0}), (16, {"loss/total": 5.0})]
    assert newest_metrics(history) == {"eval/knn_top1": 20.0, "loss/total": 5.0}
