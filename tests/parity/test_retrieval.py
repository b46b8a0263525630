from pathlib import Path

import numpy as np
import pytest

from poise.evaluation.neighbours.average_precision import score_rankings

TOLERANCE = 1e-9


def test_average_precision_is_that_of_revisited_oxford_and_paris(golden_dir: Path) -> None:
    case = dict(np.load(golden_dir / "retrieval_map.npz"))
    num_queries = case["ranks"].shape[1]
    relevant = [case[f"ok_{query}"] for query in range(num_queries)]
    junk = [case[f"junk_{query}"] for query in range(num_queries)]
    found = score_rankings(case["ranks"], relevant, junk)
    assert found.map == pytest.approx(float(case["map"]), abs=TOLERANCE)
    np.testing.assert_allclose(
        found.average_precision, case["average_precision"], rtol=0, atol=TOLERANCE
    )
    np.testing.assert_allclose(
        found.mean_precision, case["mean_precision_at_1_5_10"], rtol=0, atol=TOLERANCE
    )
