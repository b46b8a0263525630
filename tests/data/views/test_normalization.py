"""Views are normalised by numbers that can be divided by, or the run does not begin."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poise.config import PoiseError
from poise.config.views import MIN_STD, ViewsConfig
from poise.data.preparation.ingest import prepare
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD, normalization
from poise.training.schedule import steps_per_epoch
from tests.builders import tiny_recipe
from tests.data.builders import write_blobs
from tests.data.images import encode, noise_image

DATASET = ViewsConfig(normalization="dataset")


def test_normalization_is_imagenets_or_the_datasets(tmp_path: Path) -> None:
    manifest = write_blobs(tmp_path, 1)
    assert normalization(ViewsConfig(), manifest) == (IMAGENET_MEAN, IMAGENET_STD)
    assert normalization(DATASET, manifest) == (manifest.channel_mean, manifest.channel_std)


@pytest.mark.parametrize(
    ("kept", "named"), [((0, 1, 0), "red"), ((0, 0, 0), "red"), ((1, 0, 1), "green"),
                        ((1, 1, 0), "blue")]
)  # fmt: skip
@pytest.mark.parametrize("constant", [0, 100])
def test_a_channel_that_does_not_vary_is_refused_before_a_run_begins(
    kept: tuple[int, int, int], named: str, constant: int, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    for number in range(8):
        pixels = np.array(noise_image(number))
        pixels = np.where(np.array(kept, dtype=bool), pixels, np.uint8(constant))
        (tmp_path / "images" / f"{number}.png").write_bytes(encode(Image.fromarray(pixels), "PNG"))
    prepare(str(tmp_path / "images"), tmp_path / "plain")
    changes = {"data__dataset": str(tmp_path / "plain"), "data__views__normalization": "dataset"}
    expected = re.escape(
        f"data.views.normalization=dataset: the {named} channel of dataset 'plain' does not vary"
    )
    with pytest.raises(PoiseError, match=f"{expected} .*give data.views.normalization=imagenet"):
        steps_per_epoch(tiny_recipe(**changes))
    assert steps_per_epoch(tiny_recipe(data__dataset=str(tmp_path / "plain"))) == 1


def test_a_deviation_that_is_small_or_no_number_is_refused(tmp_path: Path) -> None:
    manifest = write_blobs(tmp_path, 1)
    for wrong in (0.0, MIN_STD / 2, float("nan"), float("inf")):
        broken = manifest.model_copy(update={"channel_std": (0.2, 0.2, wrong)})
        with pytest.raises(PoiseError, match="the blue channel of dataset"):
            normalization(DATASET, broken)
        assert normalization(ViewsConfig(), broken) == (IMAGENET_MEAN, IMAGENET_STD)
