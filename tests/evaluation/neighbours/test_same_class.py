import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from poise.evaluation.neighbours import same_class
from poise.evaluation.neighbours.average_precision import score_rankings
from poise.evaluation.neighbours.same_class import retrieve_classes


def test_every_image_looks_for_its_class_as_in_the_benchmark_of_landmarks() -> None:
    draws = torch.Generator().manual_seed(3)
    features, labels = torch.randn(40, 6, generator=draws), torch.arange(40) % 4
    found = retrieve_classes(features, labels, top=5)
    unit = normalize(features, dim=1)
    ranks = (unit @ unit.T).argsort(dim=0, descending=True).numpy()
    relevant = [np.flatnonzero(labels.numpy() == label) for label in labels.tolist()]
    relevant = [rows[rows != query] for query, rows in enumerate(relevant)]
    expected = score_rankings(ranks, relevant, [[query] for query in range(40)])
    np.testing.assert_allclose(found.average_precision, expected.average_precision, atol=1e-12)
    assert found.chance.tolist() == pytest.approx([9 / 39] * 40)
    first = (torch.from_numpy(ranks.T.copy())[:, 1:6] == found.nearest).all()
    assert bool(first) and not bool((found.nearest == torch.arange(40)[:, None]).any())


def test_blocks_do_not_change_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = torch.randn(50, 8), torch.arange(50) % 7
    whole = retrieve_classes(features, labels)
    monkeypatch.setattr(same_class, "_BLOCK_ELEMENTS", 3 * 50)
    told: list[int] = []
    parts = retrieve_classes(features, labels, on_queries=told.append)
    assert torch.equal(whole.average_precision, parts.average_precision)
    assert torch.equal(whole.nearest, parts.nearest)
    assert sum(told) == 50 and max(told) == 3


def test_a_collapsed_backbone_is_at_chance_on_a_dataset_that_is_sorted_by_class() -> None:
    labels = torch.arange(400) // 40
    found = retrieve_classes(torch.ones(400, 4), labels)
    assert float(found.average_precision.mean()) == pytest.approx(39 / 399, abs=0.02)
    assert float((found.first_place == 0).double().mean()) == pytest.approx(0.1, abs=0.06)


def test_an_image_that_is_alone_in_its_class_is_no_query() -> None:
    found = retrieve_classes(torch.randn(5, 3), torch.tensor([0, 0, 1, 1, 2]))
    assert found.has_answer.tolist() == [True] * 4 + [False]
    assert int(found.first_place[4]) == 5
