import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from torchvision.transforms import RandomResizedCrop

from poise.data.counter_random import uniforms
from poise.data.views.crops import DRAWS_PER_BOX, random_boxes


def draw(count: int, width: int, height: int, scale: tuple[float, float]) -> NDArray[np.int64]:
    return random_boxes(
        uniforms(0, 0, np.arange(count), 0, DRAWS_PER_BOX),
        np.array(width),
        np.array(height),
        scale,
        (3 / 4, 4 / 3),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "height", "scale"),
    [(500, 375, (0.4, 1.0)), (500, 375, (0.05, 0.4)), (200, 420, (0.4, 1.0)), (32, 32, (0.4, 1))],
)
def test_boxes_follow_the_law_of_torchvision(
    width: int, height: int, scale: tuple[float, float]
) -> None:
    ours = draw(20_000, width, height, scale)
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    ratio = [3 / 4, 4 / 3]
    theirs = np.array(
        [RandomResizedCrop.get_params(image, list(scale), ratio) for _ in range(6_000)]
    )[:, [1, 0, 3, 2]]
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3
    areas = [boxes[:, 2] * boxes[:, 3] for boxes in (ours, theirs)]
    assert stats.ks_2samp(*areas).pvalue > 1e-3


@pytest.mark.parametrize(("width", "height"), [(1000, 100), (100, 1000), (9, 400), (1, 1), (1, 3)])
def test_where_no_box_fits_the_central_one_is_torchvisions(width: int, height: int) -> None:
    scale = (0.999, 1.0) if width * height > 1 else (0.05, 0.1)
    top, left, box_height, box_width = RandomResizedCrop.get_params(
        torch.empty(3, height, width), list(scale), [3 / 4, 4 / 3]
    )
    ours = draw(5, width, height, scale)
    if box_width and box_height:
        assert (ours == [left, top, box_width, box_height]).all()


@given(
    width=st.integers(1, 3000),
    height=st.integers(1, 3000),
    low=st.floats(0.001, 1),
    sample=st.integers(0, 2**40),
)
def test_a_box_is_never_empty_and_never_outside(
    width: int, height: int, low: float, sample: int
) -> None:
    drawn = random_boxes(
        uniforms(0, 0, sample, [0, 1, 2], DRAWS_PER_BOX),
        np.array(width),
        np.array(height),
        (low, 1.0),
        (3 / 4, 4 / 3),
    )
    left, top, box_width, box_height = drawn.T
    assert (left >= 0).all() and (top >= 0).all()
    assert (box_width >= 1).all() and (box_height >= 1).all()
    assert (left + box_width <= width).all() and (top + box_height <= height).all()
