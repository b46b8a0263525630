from collections.abc import Callable
from functools import partial
from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps
from torchvision.transforms import functional as tv

from poise.config.views import ViewsConfig
from poise.data.batch import PHOTOMETRY_COLUMNS
from poise.data.counter_random import uniforms
from poise.data.views.blur import blur, box_reach
from poise.data.views.color_augmentation import (
    DRAWS_PER_PHOTOMETRY,
    Photometry,
    draw_parameters,
)
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD
from tests.data.builders import smooth_image

NEUTRAL = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "jitter_order": -1.0}


def as_it_is(config: ViewsConfig | None = None) -> Photometry:
    """Photometry without normalisation."""
    return Photometry(config or ViewsConfig(), (0, 0, 0), (1, 1, 1))


def parameters(**values: float) -> torch.Tensor:
    chosen = NEUTRAL | values
    return torch.tensor([chosen.get(name, 0.0) for name in PHOTOMETRY_COLUMNS])


def pictures(count: int, px: int = 24) -> torch.Tensor:
    images = np.stack([smooth_image(index, px, px) for index in range(count)])
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def drawn(config: ViewsConfig, samples: int, views: int = 2) -> NDArray[np.float32]:
    uniform = uniforms(0, 0, np.arange(samples), np.arange(views)[:, None], DRAWS_PER_PHOTOMETRY)
    return draw_parameters(
        uniform, config, np.linspace(1, 0.1, views)[:, None], np.linspace(0, 0.2, views)[:, None]
    )


def test_each_view_gets_torchvisions_jitter_in_its_own_order() -> None:
    """All 24 orders at once, strong enough to clip, against the same changes one by one."""
    rng = np.random.default_rng(0)
    images = pictures(24)
    rows, expected = [], []
    orders = list(permutations(range(4)))
    for number, order in enumerate(orders):
        brightness, contrast, saturation = (float(f) for f in rng.uniform(0.4, 1.6, 3))
        hue = float(rng.uniform(-0.3, 0.3))
        changes: list[Callable[[torch.Tensor], torch.Tensor]] = [
            partial(tv.adjust_brightness, brightness_factor=brightness),
            partial(tv.adjust_contrast, contrast_factor=contrast),
            partial(tv.adjust_saturation, saturation_factor=saturation),
            partial(tv.adjust_hue, hue_factor=hue),
        ]
        image = images[number].float() / 255
        for change in order:
            image = changes[change](image)
        expected.append(image)
        rows.append(
            parameters(
                brightness=brightness,
                contrast=contrast,
                saturation=saturation,
                hue=hue,
                jitter_order=number,
            )
        )
    ours = as_it_is()(images[None], torch.stack(rows)[None])[0]
    torch.testing.assert_close(ours, torch.stack(expected), atol=2e-3 + 0.5 / 255, rtol=0)


def test_neutral_parameters_leave_the_image_and_normalisation_is_last() -> None:
    images = pictures(3)[None]
    neutral = parameters().expand(1, 3, -1)
    torch.testing.assert_close(as_it_is()(images, neutral), images / 255)
    normalised = Photometry(ViewsConfig(), IMAGENET_MEAN, IMAGENET_STD)(images, neutral)
    torch.testing.assert_close(
        normalised[0], tv.normalize(images[0] / 255, list(IMAGENET_MEAN), list(IMAGENET_STD))
    )
    assert normalised.is_contiguous()


def test_grayscale_is_pillows_luma() -> None:
    image = pictures(1)
    ours = as_it_is()(image[None], parameters(grayscale=1)[None, None])[0, 0]
    luma = Image.fromarray(image[0].permute(1, 2, 0).numpy()).convert("L")
    expected = torch.from_numpy(np.array(luma)).expand(3, -1, -1) / 255
    torch.testing.assert_close(ours, expected, atol=1.01 / 255, rtol=0)


@pytest.mark.parametrize("radius", [0.3, 0.7, 1.0, 1.4, 2.0, 3.7])
def test_blur_is_pillows_up_to_the_edges(radius: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (29, 40, 3), dtype=np.uint8)
    theirs = np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    ours = blur(images, torch.tensor([radius]), box_reach(5.0))[0].permute(1, 2, 0)
    difference = (ours - torch.from_numpy(theirs)).abs()
    assert difference.max() < 3  # Pillow rounds after each of its six passes
    assert difference.mean() < 0.8


def test_radius_0_leaves_the_image_next_to_one_that_is_blurred() -> None:
    images = torch.rand(2, 3, 9, 9)
    ours = blur(images, torch.tensor([0.0, 1.0]), box_reach(2.0))
    torch.testing.assert_close(ours[0], images[0])
    assert (ours[1] - images[1]).abs().max() > 0.1


@pytest.mark.parametrize("threshold", [0, 100, 128, 256])
def test_solarize_is_pillows(threshold: int) -> None:
    image = pictures(1)
    config = ViewsConfig(solarize_threshold=threshold)
    ours = as_it_is(config)(image[None], parameters(solarize=1)[None, None])[0, 0]
    pillow = Image.fromarray(image[0].permute(1, 2, 0).numpy())
    theirs = np.array(ImageOps.solarize(pillow, threshold))
    torch.testing.assert_close(
        (ours * 255).round(), torch.from_numpy(theirs).permute(2, 0, 1) * 1.0
    )


def test_a_views_colours_do_not_depend_on_its_companions() -> None:
    config = ViewsConfig()
    table = torch.from_numpy(drawn(config, 150))
    images = pictures(300, 32).view(2, 150, 3, 32, 32)
    together = as_it_is()(images, table)
    for view, sample in ((0, 0), (0, 149), (1, 7)):
        part = (slice(view, view + 1), slice(sample, sample + 1))
        torch.testing.assert_close(together[part], as_it_is()(images[part], table[part]))
    assert as_it_is()(images[:0], table[:0]).shape == (0, 150, 3, 32, 32)


def test_parameters_follow_the_published_law() -> None:
    table = drawn(ViewsConfig(), 40_000)
    column = dict(zip(PHOTOMETRY_COLUMNS, np.moveaxis(table, -1, 0), strict=True))
    jittered = column["jitter_order"] >= 0
    assert jittered.mean() == pytest.approx(0.8, abs=0.01)
    orders, counts = np.unique(column["jitter_order"][jittered], return_counts=True)
    assert len(orders) == 24 and counts.min() > 0.9 * counts.mean()
    limits = {"brightness": (0.6, 1.4), "contrast": (0.6, 1.4), "saturation": (0.8, 1.2)}
    for name, (low, high) in {**limits, "hue": (-0.1, 0.1)}.items():
        values = column[name][jittered]
        assert values.min() == pytest.approx(low, abs=1e-3)
        assert values.max() == pytest.approx(high, abs=1e-3)
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.005)
        assert (column[name][~jittered] == NEUTRAL.get(name, 0.0)).all()
    assert column["grayscale"].mean() == pytest.approx(0.2, abs=0.01)
    assert (column["blur_radius"][0] >= 0.1).all() and column["blur_radius"].max() <= 2
    assert (column["blur_radius"][1] > 0).mean() == pytest.approx(0.1, abs=0.01)
    assert column["solarize"].mean(1) == pytest.approx([0, 0.2], abs=0.01)


def test_views_whose_colours_never_change_are_only_normalised() -> None:
    chances = [name for name in ViewsConfig.model_fields if name.endswith("_probability")]
    plain = ViewsConfig.model_validate(dict.fromkeys(chances, 0))
    assert not plain.changes_colors and ViewsConfig().changes_colors
    views = pictures(3)[None]
    untouched = parameters().expand(1, 3, -1)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    expected = Photometry(ViewsConfig(), mean, std)(views, untouched)
    made = Photometry(plain, mean, std)(views, untouched)
    assert torch.equal(made, expected) and made.is_contiguous()
