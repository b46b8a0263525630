import numpy as np
import pytest
import torch

from poise.evaluation.objects.components import component_at, largest_component, patch_box
from poise.evaluation.objects.lost import LostSettings, centred, discover


def planted(grid: tuple[int, int], rows: slice, columns: slice) -> torch.Tensor:
    """Features of a block that point against those of the rest: [1, N, 2]."""
    is_object = torch.zeros(grid, dtype=torch.bool)
    is_object[rows, columns] = True
    one = torch.tensor([1.0, -0.5])
    return torch.where(is_object.reshape(1, -1, 1), one, -one)


def test_a_planted_object_is_found_with_its_seed_its_patches_and_its_box() -> None:
    features = planted((6, 8), slice(1, 3), slice(4, 8))
    found = discover(features, (6, 8), 16, (8 * 16 - 5, 6 * 16))
    assert found.seeds.tolist() == [1 * 8 + 4]
    assert found.boxes.tolist() == [[64, 16, 123, 48]]  # cut at the image's right edge
    assert found.masks[0].nonzero()[0].tolist() == [1] * 4 + [2] * 4
    assert sorted(set(found.degrees[0].tolist())) == [7, 39]


def test_images_of_a_batch_do_not_influence_each_other() -> None:
    single = [
        planted((6, 8), slice(1, 3), slice(4, 8)),
        planted((6, 8), slice(3, 6), slice(0, 2)),
        torch.randn(1, 48, 2, generator=torch.Generator().manual_seed(0)),
    ]
    together = discover(torch.cat(single), (6, 8), 16, (128, 96), LostSettings(k_patches=10))
    for index, features in enumerate(single):
        alone = discover(features, (6, 8), 16, (128, 96), LostSettings(k_patches=10))
        assert together.seeds[index] == alone.seeds[0]
        np.testing.assert_array_equal(together.boxes[index], alone.boxes[0])


def test_of_two_parts_the_one_with_the_seed_counts() -> None:
    features = planted((4, 9), slice(0, 2), slice(0, 2))
    features[0, [2 * 9 + 7, 3 * 9 + 7]] = features[0, 0].clone()
    found = discover(features, (4, 9), 8, (72, 32))
    assert found.boxes.tolist() == [[0, 0, 16, 16]]


def test_fewer_candidates_than_the_object_has_patches_still_find_it_whole() -> None:
    features = planted((10, 10), slice(2, 8), slice(3, 9))
    for k_patches in (1, 5, 1000):
        found = discover(features, (10, 10), 4, (40, 40), LostSettings(k_patches))
        assert found.boxes.tolist() == [[12, 8, 36, 32]]


def test_features_without_any_difference_give_a_box_and_no_error() -> None:
    whole = discover(torch.ones(1, 12, 3), (3, 4), 8, (32, 24))
    assert whole.boxes.tolist() == [[0, 0, 32, 24]]
    dead = discover(torch.zeros(1, 12, 3), (3, 4), 8, (32, 24))
    assert dead.boxes.tolist() == [[0, 0, 8, 8]]


def test_a_bias_or_centred_features_separate_patches_that_all_resemble_each_other() -> None:
    features = planted((6, 8), slice(1, 3), slice(4, 8)) + torch.tensor([5.0, 10.0])
    assert discover(features, (6, 8), 16, (128, 96)).boxes.tolist() == [[0, 0, 128, 96]]
    for found in (
        discover(features, (6, 8), 16, (128, 96), LostSettings(bias=-125)),
        discover(centred(features), (6, 8), 16, (128, 96)),
    ):
        assert found.boxes.tolist() == [[64, 16, 128, 48]]


def test_features_that_do_not_fill_the_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="12 patches do not fill a grid of"):
        discover(torch.ones(1, 12, 3), (3, 5), 8, (40, 24))


def test_patches_that_touch_at_a_corner_are_not_connected() -> None:
    mask = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]], dtype=bool)
    assert largest_component(mask).sum() == 3
    assert component_at(mask, (0, 0)).sum() == 1
    assert component_at(mask, (2, 0)).sum() == 1  # beside the mask: alone
    assert patch_box(largest_component(mask), 10, (30, 27)) == (10, 10, 30, 27)
    assert patch_box(np.zeros((2, 2), dtype=bool), 10, (20, 20)) == (0, 0, 0, 0)


def test_the_last_of_several_parts_can_be_the_largest() -> None:
    mask = np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1], [1, 1, 0, 1, 1]], dtype=bool)
    assert largest_component(mask).nonzero()[1].tolist() == [4, 3, 4]
