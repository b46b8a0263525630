"""Shares of classes in patches, and masks cut as their images are."""

import numpy as np
import torch
from PIL import Image

from poise.evaluation.reading.images import crop_mask, resize_and_crop
from poise.evaluation.segmentation.patches import class_shares


def test_shares_count_pixels_of_each_patch_without_ignored_ones() -> None:
    classes = np.zeros((4, 4), dtype=np.uint8)
    classes[0, 0], classes[0, 1] = 1, 255
    classes[2:, 2:] = 255
    shares = class_shares(classes, 2, 3)
    third = 1 / 3
    expected = torch.tensor([[2 * third, third, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]])
    torch.testing.assert_close(shares, expected)


def test_a_mask_is_cut_like_its_image() -> None:
    for width, height in ((90, 60), (61, 203), (64, 64), (37, 37)):
        mask = np.zeros((height, width), dtype=np.uint8)
        mask[height // 3 : 2 * height // 3, width // 4 : width // 2] = 200
        image = Image.fromarray(np.repeat(mask[..., None], 3, axis=2))
        cut = crop_mask(mask, 32)
        seen = np.asarray(resize_and_crop(image, 32))[..., 0]
        assert set(np.unique(cut)) <= {0, 200}
        assert ((seen > 100) != (cut > 100)).mean() < 0.02, "they differ at edges alone"
