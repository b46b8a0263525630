import numpy as np
import pytest
import torch
from PIL import Image

from poise.config import PoiseError
from poise.config.views import ViewsConfig
from poise.data.counter_random import uniforms
from poise.data.dataset import EncodedBatch
from poise.data.views.crops import DRAWS_PER_BOX, random_boxes
from poise.data.views.cutter import ViewCutter
from tests.data.builders import encode, smooth_image

VIEWS = ViewsConfig(global_px=24, local_count=3, local_px=12)


def encoded(*ids: int) -> EncodedBatch:
    sizes = [(40 + 7 * index % 30, 32 + 5 * index % 40) for index in ids]
    images = [encode(smooth_image(i, *size)) for i, size in zip(ids, sizes, strict=True)]
    return EncodedBatch(images, np.array(ids) % 3, np.array(ids))


def test_views_have_the_recipes_shapes() -> None:
    batch = ViewCutter(VIEWS, seed=0)(encoded(*range(11)), epoch=0)
    assert batch.global_views.shape == (2, 11, 3, 24, 24)
    assert batch.local_views.shape == (3, 11, 3, 12, 12)
    assert batch.global_views.dtype == batch.local_views.dtype == torch.uint8
    assert batch.global_photometry.shape == (2, 11, 8)
    assert batch.local_photometry.shape == (3, 11, 8)
    assert batch.sample_ids.tolist() == list(range(11))
    assert batch.labels is not None and batch.labels.tolist() == [i % 3 for i in range(11)]


def test_without_local_views_there_is_an_empty_axis() -> None:
    batch = ViewCutter(ViewsConfig(global_px=16, local_count=0), seed=0)(encoded(1, 2), epoch=0)
    assert batch.local_views.shape[:2] == batch.local_photometry.shape[:2] == (0, 2)


def test_a_samples_views_depend_on_seed_epoch_and_sample_alone() -> None:
    cut = ViewCutter(VIEWS, seed=5)
    together, other_company = cut(encoded(*range(12)), 3), cut(encoded(30, 7, 11), 3)
    for name in ("global_views", "global_photometry", "local_views", "local_photometry"):
        here, there = getattr(together, name), getattr(other_company, name)
        assert torch.equal(here[:, 7], there[:, 1]) and torch.equal(here[:, 11], there[:, 2])
    for changed in (cut(encoded(7), 4), ViewCutter(VIEWS, seed=6)(encoded(7), 3)):
        assert not torch.equal(changed.global_views[:, 0], together.global_views[:, 7])
        assert not torch.equal(changed.global_photometry[:, 0], together.global_photometry[:, 7])


def test_all_views_of_a_sample_differ() -> None:
    views = ViewsConfig(global_px=12, local_px=12, local_scale=(0.4, 1.0), local_count=3)
    batch = ViewCutter(views, seed=0)(encoded(4), epoch=0)
    every = torch.cat([batch.global_views, batch.local_views])[:, 0]
    assert len({view.numpy().tobytes() for view in every}) == 5


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_pixels_are_pillows_bicubic_crops(flip: float) -> None:
    views = ViewsConfig(global_px=32, local_px=16, local_count=2, flip_probability=flip)
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    source = Image.fromarray(pixels)
    batch = ViewCutter(views, seed=1)(
        EncodedBatch([encode(pixels)], np.array([-1]), np.array([8])), epoch=2
    )
    for view in range(4):
        scale, px = (views.global_scale, 32) if view < 2 else (views.local_scale, 16)
        draws = uniforms(1, 2, 8, view, DRAWS_PER_BOX)
        left, top, width, height = random_boxes(
            draws, np.array(120), np.array(90), scale, views.aspect_ratio
        ).tolist()
        crop = source.crop((left, top, left + width, top + height))
        theirs = np.array(crop.resize((px, px), Image.Resampling.BICUBIC)).astype(int)
        ours = (batch.global_views if view < 2 else batch.local_views)[view % 2, 0]
        upright = ours.flip(-1) if flip else ours
        difference = np.abs(upright.permute(1, 2, 0).numpy().astype(int) - theirs)
        assert difference.max() <= 1


def test_photometric_parameters_use_the_probabilities_of_their_kind_of_view() -> None:
    views = ViewsConfig(
        global_px=8,
        local_px=8,
        global_count=3,
        local_count=2,
        first_global_blur_probability=1,
        other_global_blur_probability=0,
        local_blur_probability=1,
        first_global_solarize_probability=0,
        other_global_solarize_probability=1,
        local_solarize_probability=0,
    )
    batch = ViewCutter(views, seed=0)(encoded(*range(8)), epoch=0)
    every = torch.cat([batch.global_photometry, batch.local_photometry])
    assert (every[..., 6] > 0).all(1).tolist() == [True, False, False, True, True]
    assert (every[..., 7] > 0).all(1).tolist() == [False, True, True, False, False]


def test_an_image_that_cannot_be_decoded_names_its_sample() -> None:
    broken = EncodedBatch([b"not an image"], np.array([0]), np.array([321]))
    with pytest.raises(PoiseError, match=r"sample 321 .*prepare"):
        ViewCutter(VIEWS, seed=0)(broken, epoch=0)
