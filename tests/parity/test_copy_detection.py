from pathlib import Path

import numpy as np
import pytest
import torch

from poise.evaluation.neighbours.descriptors import Whitening, descriptor, unit

TOLERANCE = 1e-4

Case = dict[str, torch.Tensor]


@pytest.fixture
def case(golden_dir: Path) -> Case:
    recorded = np.load(golden_dir / "copy_detection.npz")
    return {name: torch.from_numpy(np.ascontiguousarray(recorded[name])) for name in recorded}


def test_a_descriptor_is_cls_beside_gem(case: Case) -> None:
    torch.testing.assert_close(
        descriptor(case["tokens"]), case["descriptor"], rtol=TOLERANCE, atol=TOLERANCE
    )


def test_whitening_is_the_published_one_up_to_signs(case: Case) -> None:
    recorded = case["database_whitened"]
    found = Whitening.learned_on(case["whitening_features"])(case["database"])
    signs = torch.sign((found * recorded).sum(dim=0))
    torch.testing.assert_close(found * signs, recorded, rtol=TOLERANCE, atol=TOLERANCE)
    cosines = unit(found) @ unit(found).T
    torch.testing.assert_close(cosines, case["cosine_after"], rtol=TOLERANCE, atol=TOLERANCE)
