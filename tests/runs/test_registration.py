"""What is stored with the metrics of a registered backbone."""

from poise.config.metrics import EVALUATION
from poise.runs.registration import PROTOCOLS


def test_every_metric_that_is_evaluated_during_training_has_a_protocol() -> None:
    assert set(PROTOCOLS) == set(EVALUATION)
