"""The preview shows the views of the recipe's own cutter, and says what each is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poise.config import PoiseError
from poise.config.views import ViewsConfig
from poise.data.dataset import ImageDataset
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.data.views.decode import decode_rgb
from poise.data.views.preview import _views, draw_preview

VIEWS = ViewsConfig(global_px=32, local_px=16, local_count=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    prepare("scenes", folder, PrepareOptions(num_images=6))
    return folder


@pytest.mark.slow
def test_the_picture_grows_with_images_and_views_and_is_the_same_twice(
    dataset: Path, tmp_path: Path
) -> None:
    small = draw_preview(dataset, VIEWS, tmp_path / "a.png", num_images=2)
    again = draw_preview(dataset, VIEWS, tmp_path / "b.png", num_images=2)
    more = VIEWS.model_copy(update={"local_count": 4})
    large = draw_preview(dataset, more, tmp_path / "c.png", num_images=100)
    with Image.open(small) as first, Image.open(again) as second, Image.open(large) as third:
        np.testing.assert_array_equal(np.asarray(first), np.asarray(second))
        assert third.height > 2 * first.height
        assert third.width > first.width
        assert np.asarray(first.convert("L")).std() > 30  # there is something on it


@pytest.mark.parametrize("normalization", ["imagenet", "dataset"])
def test_a_view_without_augmentation_is_shown_as_the_image_itself(
    dataset: Path, normalization: str
) -> None:
    untouched = ViewsConfig.model_validate(
        {
            "global_count": 1,
            "global_px": 32,
            "global_scale": (1.0, 1.0),
            "local_count": 0,
            "aspect_ratio": (1.0, 1.0),
            "flip_probability": 0.0,
            "jitter_probability": 0.0,
            "grayscale_probability": 0.0,
            "first_global_blur_probability": 0.0,
            "normalization": normalization,
        }
    )
    opened = ImageDataset.open(dataset)
    encoded = opened.read(np.arange(3))
    (title,), (views,) = zip(
        *_views(encoded, untouched, opened.manifest, seed=0).items(), strict=True
    )
    assert title == "global 1\n32 px"
    for data, view in zip(encoded.images, views, strict=True):
        image = np.asarray(decode_rgb(data)) / 255
        np.testing.assert_allclose(view.permute(1, 2, 0).numpy(), image, atol=1 / 255)


def test_a_picture_that_cannot_be_written_is_one_line(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="cannot be written"):
        draw_preview(dataset, VIEWS, tmp_path / "no" / "such" / "folder.png", num_images=1)
