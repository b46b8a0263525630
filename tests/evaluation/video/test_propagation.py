"""Labels that travel through a video, beside a slow reference that forms every pair."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from poise.evaluation.video import propagation
from poise.evaluation.video.propagation import (
    LabelPropagation,
    Propagation,
    first_labels,
    mask_of,
    propagate,
)


def features(*shape: int, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=draws), dim=-1)


def one_hot(frames: int, classes: int, height: int, width: int) -> Tensor:
    draws = torch.Generator().manual_seed(9)
    numbers = torch.randint(classes, (frames, height, width), generator=draws)
    return F.one_hot(numbers, classes).permute(0, 3, 1, 2).float()


def slow(target: Tensor, sources: Tensor, labels: Tensor, settings: Propagation) -> Tensor:
    """The published steps, written as loops over target patches."""
    height, width, _ = target.shape
    found = torch.zeros(labels.shape[1], height, width)
    for row in range(height):
        for column in range(width):
            weights = []
            for frame in range(len(sources)):
                for other_row in range(height):
                    for other in range(width):
                        apart = max(abs(other_row - row), abs(other - column))
                        if apart <= settings.reach:
                            cosine = float(target[row, column] @ sources[frame, other_row, other])
                            weight = float(np.exp(cosine / settings.temperature))
                            weights.append((weight, labels[frame, :, other_row, other]))
            best = sorted(weights, key=lambda each: -each[0])[: settings.neighbours]
            total = sum(weight for weight, _ in best)
            found[:, row, column] = sum((w / total * label for w, label in best), torch.zeros(1))
    return found


@pytest.mark.parametrize("rows_at_once", [1, 2, 100])
def test_labels_are_those_of_the_published_steps(
    rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Propagation(neighbours=4, reach=2)
    sources, target = features(3, 6, 5, 8), features(6, 5, 8, seed=1)
    labels = one_hot(3, 3, 6, 5)
    per_row = 3 * 5 * 5 * 5
    monkeypatch.setattr(propagation, "_SIMILARITIES_AT_ONCE", rows_at_once * per_row)
    found = propagate(target, sources, labels, settings)
    torch.testing.assert_close(found, slow(target, sources, labels, settings))
    torch.testing.assert_close(found.sum(dim=0), torch.ones(6, 5))


def test_a_grid_smaller_than_the_neighbours_takes_all_it_has() -> None:
    settings = Propagation(neighbours=50)
    sources, target = features(1, 2, 2, 4), features(2, 2, 4, seed=1)
    labels = one_hot(1, 2, 2, 2)
    found = propagate(target, sources, labels, settings)
    torch.testing.assert_close(found, slow(target, sources, labels, settings))


def test_labels_come_from_the_first_frame_and_the_last_few() -> None:
    settings = Propagation(last_frames=2, neighbours=3, reach=2)
    frames = features(6, 4, 4, 8)
    first = one_hot(1, 2, 4, 4)[0]
    running = LabelPropagation(frames[0], first, settings)
    known = [first]
    for index in range(1, 6):
        context = [0, *range(max(1, index - 2), index)]
        expected = slow(
            frames[index], frames[context], torch.stack([known[each] for each in context]), settings
        )
        found = running.advance(frames[index])
        torch.testing.assert_close(found, expected)
        known.append(found)


def test_a_patch_has_the_object_at_its_centre_pixel_and_ignored_pixels_are_background() -> None:
    mask = np.zeros((8, 12), dtype=np.uint8)
    mask[:, :4], mask[4:, 8:] = 7, 255
    labels = first_labels(mask, (7,), (2, 3))
    assert labels.tolist() == [[[0, 1, 1], [0, 1, 1]], [[1, 0, 0], [1, 0, 0]]]


def test_a_mask_is_the_highest_stretched_channel_at_the_frames_own_size() -> None:
    labels = torch.zeros(3, 3, 4)
    labels[0] = 1
    labels[:, 1, 1] = torch.tensor([0.7, 0.3, 0.0])
    found = mask_of(labels, (4, 9), 5, (31, 43))
    enlarged = F.interpolate(labels[None], scale_factor=5, mode="bilinear")[0]
    # Object 4 is weak everywhere, but stretching makes its peak as high as the background's.
    weak = enlarged[1] / enlarged[1].max()
    ground = (enlarged[0] - enlarged[0].min()) / (1 - enlarged[0].min())
    small = np.where((weak > ground).numpy(), 4, 0).astype(np.uint8)
    expected = Image.fromarray(small).resize((43, 31), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(found, np.asarray(expected))
    assert set(np.unique(found)) == {0, 4}, "object 9 is nowhere, and has no NaN to win with"
