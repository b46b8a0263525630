import numpy as np
import pytest
import torch

from poise.evaluation.neighbours import copy_scores
from poise.evaluation.neighbours.copy_scores import (
    CopyBlock,
    CopySearch,
    all_results,
    figures_of,
    find_candidates,
    micro_average_precision,
)
from poise.evaluation.neighbours.descriptors import Whitening, descriptor, gem


def described(rows: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"descriptors": rows, "pixels": rows[:, :3]}


def test_micro_average_precision_asks_for_one_threshold_for_all_copies() -> None:
    similarities = np.array([[0.9, 0.2], [0.5, 0.4]], dtype=np.float32)
    assert micro_average_precision(similarities, np.array([[1, 0], [1, 0]], dtype=bool)) == 1
    # The second copy's original comes after two wrong candidates: 2 of the first 3 are right.
    late = np.array([[1, 0], [0, 1]], dtype=bool)
    assert micro_average_precision(similarities, late) == pytest.approx((1 + 2 / 3) / 2)
    assert micro_average_precision(similarities, np.zeros((2, 2), dtype=bool)) == 0


def test_a_copy_whose_original_is_no_candidate_scores_0() -> None:
    database = torch.nn.functional.normalize(torch.randn(60, 8), dim=1)
    copies = torch.stack([database[5], -database[9]])  # a copy, and the opposite of an image
    block = CopyBlock("strong", described(copies), np.array([5, 9]))
    (result,) = all_results(CopySearch(described(database), [block]))[""]
    assert result.average_precision.tolist() == [1, 0]


def test_figures_are_overall_and_for_each_kind_with_intervals() -> None:
    draws = torch.Generator().manual_seed(0)
    database = torch.randn(90, 8, generator=draws)
    rows = np.arange(30)
    blocks = [
        CopyBlock(name, described(database[:30] + noise * torch.randn(30, 8)), rows)
        for name, noise in (("mild", 0.01), ("strong", 3.0))
    ]
    results = all_results(CopySearch(described(database), blocks, database[30:]))
    found = {figure.name: figure for figure in figures_of(results)}
    assert set(results) == {"", "whitened_", "pixels_"}
    assert found["map_mild"].value == 100 > found["map"].value > found["map_strong"].value
    assert found["map"].low is not None and found["map"].low < found["map"].value
    assert found["micro_ap"].value < 100 and found["whitened_map_mild"].value == 100


def test_blocks_of_copies_do_not_change_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    database, queries = torch.randn(30, 4), torch.randn(17, 4)
    whole = find_candidates(database, queries)
    monkeypatch.setattr(copy_scores, "_BLOCK_ELEMENTS", 60)
    assert torch.equal(whole.nearest, find_candidates(database, queries).nearest)
    assert whole.nearest.shape == (17, 20)


def test_gem_lies_between_the_mean_and_the_maximum_of_patches() -> None:
    patches = torch.rand(3, 10, 5)
    pooled = gem(patches)
    assert bool((pooled >= patches.mean(dim=1)).all()) and bool((pooled <= patches.amax(1)).all())
    assert bool((gem(-patches) <= 2e-6).all()), "negative parts count as nothing"


def test_registers_take_no_part_in_a_descriptor_and_a_missing_cls_is_the_mean_patch() -> None:
    tokens = torch.rand(2, 1 + 3 + 16, 4)
    changed = tokens.clone()
    changed[:, 1:4] = 99
    assert torch.equal(descriptor(tokens, 4), descriptor(changed, 4))
    without = descriptor(tokens[:, 4:], 0, has_cls=False)
    assert torch.allclose(without[:, :4], tokens[:, 4:].mean(dim=1))


def test_whitening_gives_centred_features_the_same_spread_in_every_direction() -> None:
    # Not a random mixture: a direction with hardly any variance is not made as wide as the others.
    features = torch.randn(2000, 6) @ (torch.eye(6) + 0.5)
    features -= features.mean(dim=0)
    whitened = Whitening.learned_on(features)(features)
    assert torch.allclose(whitened.T @ whitened / 2000, torch.eye(6), atol=1e-3)


def test_directions_without_variance_are_not_blown_up() -> None:
    features = torch.randn(100, 3) @ torch.randn(3, 6)  # three of six directions are empty
    assert float(Whitening.learned_on(features)(features).abs().max()) < 100
