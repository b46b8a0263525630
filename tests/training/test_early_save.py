"""A run that is taken away saves a checkpoint at once, but never one of broken weights."""

import pytest
import torch

from tests.training.test_collapse_stopper import Follow, dataset, follow

__all__ = ["dataset", "follow"]  # fixtures


def test_a_run_that_is_taken_away_saves_once(follow: Follow) -> None:
    watch, _, reported = follow({})
    watch.state.meter.count(8, {"loss/total": torch.tensor(3.0)})
    with watch:
        watch.state.step = 3
        watch.take_back(3, "SIGTERM")
        watch.take_back(3, "SIGTERM")
    assert [told["taken_back"] for told in reported] == ["SIGTERM"]


@pytest.mark.parametrize("broken", ["loss", "weights"])
def test_a_run_that_diverged_since_its_last_log_does_not_replace_its_last_good_checkpoint(
    broken: str, follow: Follow
) -> None:
    # The history ended before the divergence, so the checkpoint looked good and was resumed from.
    watch, listener, reported = follow({})
    loss = float("nan") if broken == "loss" else 3.0
    watch.state.meter.count(8, {"loss/total": torch.tensor(loss), "other": torch.tensor(1.0)})
    if broken == "weights":  # a gradient that was not finite; the next loss would show it
        next(watch.state.objective.trainable.parameters()).data.fill_(float("inf"))
    with watch:
        watch.state.step = 3
        watch.take_back(3, "SIGTERM")
    assert not reported
    assert ("step 3 is not saved: its loss or weights are not finite", 3) in listener.heard


def test_a_metric_without_a_value_does_not_keep_a_run_from_saving(follow: Follow) -> None:
    watch, _, reported = follow({})
    values = {"loss/total": torch.tensor(3.0), "other": torch.tensor(float("nan"))}
    watch.state.meter.count(8, values)
    with watch:
        watch.state.step = 3
        watch.take_back(3, "SIGTERM")
    assert len(reported) == 1
