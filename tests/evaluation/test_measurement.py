import re

import pytest

from poise.evaluation.measurement import Measurement, as_name, measurement_name


def test_a_changed_setting_never_takes_the_name_of_the_protocols_own_figures() -> None:
    published = measurement_name("linear/dino-v1")
    assert published == "linear-dino-v1"
    short = measurement_name("linear/dino-v1", ("training.epochs=3",))
    shorter = measurement_name("linear/dino-v1", ("training.epochs=2",))
    both = measurement_name("linear/dino-v1", ("training.epochs=3", "seed=1"))
    assert len({published, short, shorter, both}) == 4
    assert re.fullmatch(r"linear-dino-v1-changed-[0-9a-f]{8}", short)
    assert both == measurement_name("linear/dino-v1", ("seed=1", "training.epochs=3"))


def test_a_datasets_name_is_one_part_of_a_metrics_name() -> None:
    assert as_name("CIFAR 10/test: new") == "CIFAR-10-test-new"


def test_a_report_without_its_values_cannot_be_made() -> None:
    # The error came only when the values were read, after the measurement.
    class Unfinished(Measurement):
        """Forgets ``measured``."""

    with pytest.raises(TypeError, match="measured"):
        Unfinished("knn/dino-v1", (), "data", "scenes")  # type: ignore[abstract]
