import pickle

import numpy as np
import pytest
from PIL import Image

from poise.evaluation.neighbours.made_copies import KINDS, MadeCopies


def picture(width: int = 60, height: int = 40) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 5, columns * 4, (rows + columns) * 2], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_another_picture_and_the_same_one_each_time(kind: str) -> None:
    image, copies = picture(), MadeCopies(kind)
    first, again = copies(image, 7), pickle.loads(pickle.dumps(copies))(picture(), 7)
    assert first.mode == "RGB"
    assert first.tobytes() == again.tobytes()
    assert first.size != image.size or first.tobytes() != image.tobytes()
    assert image.tobytes() == picture().tobytes(), "the original stays as it was"


@pytest.mark.parametrize("kind", ["crop_50", "overlay", "rotation", "strong"])
def test_images_and_seeds_have_copies_of_their_own(kind: str) -> None:
    first = MadeCopies(kind)(picture(), 1).tobytes()
    assert first != MadeCopies(kind)(picture(), 2).tobytes()
    assert first != MadeCopies(kind, seed=1)(picture(), 1).tobytes()


@pytest.mark.parametrize(("kind", "kept"), [("crop_50", 0.5), ("crop_80", 0.2)])
def test_a_crop_takes_its_share_of_the_area_away(kind: str, kept: float) -> None:
    cut = MadeCopies(kind)(picture(300, 200), 3)
    assert cut.width * cut.height == pytest.approx(kept * 300 * 200, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_image_of_a_dataset_can_be_copied(kind: str) -> None:
    assert min(MadeCopies(kind)(picture(8, 8), 0).size) >= 8
