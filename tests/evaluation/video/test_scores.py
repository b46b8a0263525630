"""Mean, recall and decay of objects, and the intervals of their means."""

import numpy as np
import pytest

from poise.evaluation.video.scores import NAMES, ObjectScore, frame_statistics, video_figures


def test_recall_counts_frames_above_a_half_and_decay_compares_quarters() -> None:
    values = [1.0, 1.0, 0.9, 0.8, 0.6, 0.5, 0.4, 0.2]
    mean, recall, decay = frame_statistics(values)
    assert mean == pytest.approx(np.mean(values))
    assert recall == 5 / 8, "0.5 itself is not recalled"
    # Eight frames are cut at the positions 1, 2.75, 4.5, 6.25 and 8, rounded: 1, 3, 5, 6, 8.
    assert decay == pytest.approx(np.mean(values[0:3]) - np.mean(values[5:8]))


def test_one_frame_has_no_decay() -> None:
    assert frame_statistics([0.75]) == (0.75, 1.0, 0.0)


def test_more_than_255_frames_are_cut_into_quarters_too() -> None:
    values = np.linspace(1, 0, 1001)
    assert frame_statistics(list(values))[2] == pytest.approx(0.75, abs=1e-3)


def objects(count: int, level: float) -> list[ObjectScore]:
    draws = np.random.default_rng(0)
    return [
        ObjectScore(f"video {number // 2}", 1 + number % 2, tuple(values), tuple(values - 0.1))
        for number in range(count)
        for values in [level + draws.uniform(-0.1, 0.1, 5)]
    ]


def test_figures_are_means_over_objects_in_percent_with_intervals_over_sequences() -> None:
    found, still = objects(20, 0.8), objects(20, 0.4)
    figures = {figure.name: figure for figure in video_figures(found, still)}
    first_mask = {f"first_mask_{name}" for name in NAMES}
    assert set(figures) == {*NAMES, *first_mask, "gain_over_first_mask"}
    means = [100 * np.mean(score.regions) for score in found]
    assert figures["j_mean"].value == pytest.approx(np.mean(means))
    both = (figures["j_mean"].value + figures["f_mean"].value) / 2
    assert figures["jf_mean"].value == pytest.approx(both)
    gain = figures["gain_over_first_mask"]
    assert gain.value == pytest.approx(40) and gain.low == pytest.approx(40)
    for figure in figures.values():
        assert figure.low is not None and figure.high is not None
        assert figure.low <= figure.value + 1e-9 and figure.value <= figure.high + 1e-9


def test_an_interval_of_one_sequence_would_be_invented() -> None:
    figures = video_figures(objects(2, 0.8), objects(2, 0.4))
    assert all(figure.low is figure.high is None for figure in figures)
