"""The size of normalised pixels."""

import math

import torch

from poise.diagnostics.batch_statistics import BatchStatistics
from poise.diagnostics.observe import diagnose
from poise.diagnostics.views import largest_value
from poise.objectives.base import Observation


def test_the_largest_magnitude_counts_whatever_its_sign() -> None:
    views = torch.zeros(2, 3, 4, 4)
    views[1, 2, 0, 0] = -2.5
    assert largest_value(views).item() == 2.5
    seen = BatchStatistics.of(Observation(views=views))
    assert dict(diagnose(seen)) == {"views/largest_value": 2.5}


def test_one_pixel_that_is_not_a_number_is_seen() -> None:
    views = torch.zeros(2, 3, 4, 4)
    views[0, 1, 2, 3] = math.nan
    assert math.isnan(largest_value(views).item())
