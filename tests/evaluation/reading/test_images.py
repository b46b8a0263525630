from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from poise.data.dataset import ImageDataset
from poise.evaluation.reading import images as images_module
from poise.evaluation.reading.images import EvaluationImages, choose_samples, resize_and_crop
from tests.evaluation.conftest import MakeDataset


@pytest.mark.parametrize("size", [(300, 200), (201, 333), (37, 37), (256, 256), (20, 500)])
@pytest.mark.parametrize("image_px", [32, 224])
def test_the_view_is_the_published_evaluations(size: tuple[int, int], image_px: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    shorter = {32: 37, 224: 256}[image_px]
    published = Compose([Resize(shorter, InterpolationMode.BICUBIC), CenterCrop(image_px)])
    np.testing.assert_array_equal(resize_and_crop(image, image_px), published(image))


@pytest.mark.parametrize("size", [(8, 2500), (2500, 8), (1900, 11), (11, 1900)])
@pytest.mark.parametrize("image_px", [32, 224])
def test_a_very_long_image_gives_the_published_view_without_being_resized_whole(
    size: tuple[int, int], image_px: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1))
    published = np.asarray(resize_and_crop(image, image_px)).astype(int)
    monkeypatch.setattr(images_module, "_MOST_RESIZED_PIXELS", 0)
    cropped = np.asarray(resize_and_crop(image, image_px)).astype(int)
    assert np.abs(cropped - published).max() <= 2


def test_the_longest_image_that_is_decoded_never_exists_in_its_resized_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def noted(self: Image.Image, size: tuple[int, int], *rest: Any, **named: Any) -> Image.Image:
        sizes.append(size)
        return resize(self, size, *rest, **named)

    monkeypatch.setattr(Image.Image, "resize", noted)
    for size in ((8, 20_000), (20_000, 8), (300_000, 8)):
        assert resize_and_crop(Image.new("RGB", size), 224).size == (224, 224)
    assert max(width * height for width, height in sizes) <= 224 * 256


def test_a_choice_is_the_same_every_time_and_without_repeats() -> None:
    chosen = choose_samples(1000, 100, seed=3)
    assert len(set(chosen.tolist())) == 100
    assert np.array_equal(chosen, choose_samples(1000, 100, seed=3))
    assert not np.array_equal(chosen, choose_samples(1000, 100, seed=4))
    assert np.array_equal(choose_samples(5, 100, seed=3), np.arange(5))


def test_small_sets_are_decoded_once_and_large_ones_every_time(make_dataset: MakeDataset) -> None:
    folder = make_dataset("colours", [0, 1, 2] * 7)
    reads: list[int] = []

    class Counting(ImageDataset):
        def read(self, sample_ids):  # type: ignore[no-untyped-def]
            reads.append(len(sample_ids))
            return super().read(sample_ids)

    dataset = Counting.open(folder)
    counting = Counting(Path(folder), dataset.manifest)
    small = EvaluationImages(counting, image_px=8)
    first, second = [list(small.batches(10)) for _ in range(2)]
    assert reads == [10, 10, 1]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    large = EvaluationImages(counting, image_px=8, cache_bytes=100)
    _ = [list(large.batches(21)) for _ in range(2)]
    assert reads == [10, 10, 1, 21, 21]


def test_a_pass_that_was_broken_off_is_not_taken_for_the_whole_set(
    make_dataset: MakeDataset,
) -> None:
    images = EvaluationImages(ImageDataset.open(make_dataset("colours", [0, 1, 2] * 7)), 8)
    next(images.batches(5))
    assert sum(len(labels) for _, labels in images.batches(5)) == 21
