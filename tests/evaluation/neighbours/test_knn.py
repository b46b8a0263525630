from dataclasses import replace

import pytest
import torch

from poise.evaluation.measurement import wilson_interval
from poise.evaluation.neighbours import knn
from poise.evaluation.neighbours.knn import find_neighbors, knn_probe
from poise.evaluation.neighbours.samples import BankAndQueries

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]


def test_three_queries_and_two_classes_are_enough() -> None:
    bank = torch.tensor([EAST, EAST, NORTH])
    labels, queries = torch.tensor([0, 0, 1]), torch.tensor([EAST, NORTH, NORTH])
    found = dict(knn_probe(BankAndQueries(bank, labels, queries, torch.tensor([0, 1, 0]), 2), k=1))
    assert found == {"knn_top1": pytest.approx(200 / 3), "knn_top5": pytest.approx(200 / 3)}


def test_near_neighbours_outvote_more_numerous_far_ones() -> None:
    bank = torch.tensor([EAST, WEST, WEST, WEST])
    labels = torch.tensor([0, 1, 1, 1])
    query = torch.tensor([[3.0, 0.1]])
    found = dict(knn_probe(BankAndQueries(bank, labels, query, torch.tensor([0]), 2), k=4))
    assert found["knn_top1"] == 100


def test_a_k_above_the_bank_means_the_whole_bank() -> None:
    labels = torch.arange(9) % 2
    samples = BankAndQueries(torch.randn(6, 3), labels[:6], torch.randn(9, 3), labels, 2)
    assert dict(knn_probe(samples, k=6)) == dict(knn_probe(samples, k=600))


def test_an_image_left_out_of_its_own_vote_gains_nothing_by_being_in_the_bank() -> None:
    features, labels = torch.eye(4), torch.arange(4)
    samples = BankAndQueries(features, labels, features, labels, 4)
    alone = dict(knn_probe(samples, k=4))
    left_out = dict(knn_probe(replace(samples, own_rows=torch.arange(4)), k=4))
    assert alone["knn_top1"] == 100
    assert left_out["knn_top1"] == 0


def test_chunks_do_not_change_the_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, labels, queries = torch.randn(50, 8), torch.arange(50), torch.randn(33, 8)
    rows = torch.arange(33)
    whole = find_neighbors(bank, labels, queries, 5, own_rows=rows)
    monkeypatch.setattr(knn, "_CHUNK_ELEMENTS", 4 * 50)
    chunked = find_neighbors(bank, labels, queries, 5, own_rows=rows)
    assert torch.equal(whole.labels, chunked.labels)
    assert not (whole.labels == rows[:, None]).any()


def test_a_label_that_is_no_class_is_refused() -> None:
    one = torch.ones(1, 2)
    with pytest.raises(ValueError, match="from 0 to 1"):
        dict(knn_probe(BankAndQueries(one, torch.tensor([-1]), one, torch.ones(1), 2)))
    with pytest.raises(ValueError, match="at least one"):
        dict(knn_probe(BankAndQueries(one[:0], torch.ones(0), one, torch.ones(1), 2)))


def test_wilson_interval_is_the_published_one_and_stays_within_0_and_1() -> None:
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998
    assert wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
    assert wilson_interval(20, 20)[1] == 1
