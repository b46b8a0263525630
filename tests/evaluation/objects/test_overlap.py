import numpy as np
import pytest
import torch
from PIL import Image

from poise.evaluation.objects.attention_masks import head_names, mass_masks
from poise.evaluation.objects.overlap import _overlaps, patch_counts
from poise.evaluation.objects.padding import enlarged, pad_to_patches
from poise.evaluation.reading.native import NativeSize


def test_a_mask_keeps_the_most_attended_patches() -> None:
    attention = torch.tensor([[0.05, 0.4, 0.1, 0.25, 0.2], [0.2, 0.2, 0.2, 0.2, 0.2]])
    assert mass_masks(attention, 0.6).int().tolist() == [[0, 1, 0, 1, 0], [0, 0, 1, 1, 1]]
    assert mass_masks(attention, 1.0).all()
    assert mass_masks(3 * attention, 0.6).equal(mass_masks(attention, 0.6))


def test_heads_have_numbers_from_1_and_the_mean_is_last() -> None:
    assert head_names(3) == ["head_1", "head_2", "mean_head"]


@pytest.mark.parametrize("shorter_px", [None, 40, 21])
@pytest.mark.parametrize("size", [(64, 48), (61, 45), (30, 70)])
def test_overlaps_are_those_of_masks_enlarged_to_the_image(
    size: tuple[int, int], shorter_px: int | None
) -> None:
    noise = np.random.default_rng(0)
    truth = noise.choice([0, 1, 2, 255], (size[1], size[0])).astype(np.uint8)
    native_size = NativeSize(8, shorter_px=shorter_px)
    read_at = native_size.of(size)
    rows, columns = native_size.grid(read_at)
    masks = noise.random((3, rows * columns)) < 0.4
    found = _overlaps(masks, patch_counts(truth, native_size))
    for mask, overlap in zip(masks, found, strict=False):
        as_read = Image.fromarray(enlarged(mask, 8, read_at))
        # Pillow's nearest neighbour takes the same pixel: the one under the centre.
        whole = np.asarray(as_read.resize(size, Image.Resampling.NEAREST))
        counts, is_object = truth != 255, (truth != 255) & (truth != 0)
        expected = (whole & is_object).sum() / ((whole & counts) | is_object).sum()
        assert overlap == pytest.approx(expected)
    assert found[-1] == pytest.approx(is_object.sum() / counts.sum())


def test_an_image_without_an_object_has_no_overlap() -> None:
    counts = patch_counts(np.zeros((16, 16), dtype=np.uint8), NativeSize(8))
    assert np.isnan(_overlaps(np.ones((2, 4), dtype=bool), counts)).all()
    assert counts.centre.all() and counts.valid.tolist() == [64] * 4


def test_padding_is_zero_to_the_right_and_below() -> None:
    padded = pad_to_patches(torch.ones(1, 3, 9, 16), 8)
    assert padded.shape == (1, 3, 16, 16)
    assert padded[0, 0, :9].all() and not padded[0, 0, 9:].any()
