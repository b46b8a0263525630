import numpy as np
import pytest

from poise.evaluation.embedding_map.class_tree import agreement, class_distances, class_tree
from poise.evaluation.embedding_map.content import ClassTree
from poise.evaluation.embedding_map.tree_sentences import tree_sentences

CLASSES = ("cat", "dog", "ship", "truck", "unused")
ANGLES = {"cat": 0.0, "dog": 0.2, "ship": 1.4, "truck": 1.5}


def two_groups(noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Images of two animals and two vehicles on a circle."""
    draws = np.random.default_rng(0)
    labels = np.arange(80) % 4
    angles = np.array(list(ANGLES.values()))[labels] + noise * draws.normal(size=80)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1), labels


def tree_of(features: np.ndarray, labels: np.ndarray) -> ClassTree:
    tree = class_tree(features, labels, CLASSES)
    assert tree is not None
    return tree


def test_similar_classes_join_first() -> None:
    tree = tree_of(*two_groups())
    assert tree.names == ("cat", "dog", "ship", "truck"), "a class without images has no place"
    assert tree.counts.tolist() == [20] * 4
    joined = [set(pair) for pair in tree.links[:2, :2].astype(int).tolist()]
    assert joined == [{2, 3}, {0, 1}]
    assert [tree.names[row] for row in tree.nearest(0)] == ["dog", "ship", "truck"]
    assert tree.distances[0, 1] == pytest.approx(1 - np.cos(0.2), abs=0.01)
    low, high = tree.interval
    assert 0.9 < low < tree.cophenetic <= high <= 1
    assert tree.reliability > 0.9


def test_the_answer_names_the_nearest_and_the_farthest_classes() -> None:
    first, second, third = tree_sentences(tree_of(*two_groups()))
    assert first.startswith("The nearest classes are ship and truck (cosine distance 0.0")
    assert "the farthest cat and truck (0.9" in first
    assert "classes that join early are similar" in second
    assert third.endswith(".")


def test_classes_that_do_not_differ_have_no_order_to_rely_on() -> None:
    draws = np.random.default_rng(0)
    tree = tree_of(draws.normal(size=(80, 30)), np.arange(80) % 4)
    assert abs(tree.reliability) < 0.9
    same = tree_of(np.ones((80, 3)), np.arange(80) % 4)
    assert (same.cophenetic, same.reliability) == (0, 0)
    assert "mostly noise" in list(tree_sentences(same))[2]


def test_two_classes_make_no_tree() -> None:
    features, labels = two_groups()
    assert class_tree(features, np.minimum(labels, 1), CLASSES) is None
    assert class_tree(features, np.full(80, -1), ()) is None


def test_agreement_is_a_rank_correlation() -> None:
    features, labels = two_groups()
    groups = [np.flatnonzero(labels == label) for label in range(4)]
    distances = class_distances(features, groups)
    assert distances.shape == (6,)
    assert agreement(distances, distances**3) == pytest.approx(1)
    assert agreement(distances, np.ones(6)) == 0
