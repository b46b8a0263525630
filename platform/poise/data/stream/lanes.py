"""Divides an epoch into lanes, and each lane into windows that fit into a reader's memory.

In: the sizes of a dataset's row groups, and a seed. Out: the samples and the row groups at any
position of a lane. Next: ``poise.data.stream.plan`` takes the samples of each step from the lanes.

A lane is a part of an epoch's row groups. Different workers read different lanes, so that not every
worker reads everything. ``docs/decisions/0013-lanes.md`` explains the reasons, with measurements.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poise.data.counter_random import uniforms

_GROUP_ORDER, _SAMPLE_ORDER = -1, -2  # used in place of the view in addresses of random numbers


@dataclass(frozen=True)
class Layout:
    """Division of a dataset into lanes (parts of an epoch) and windows, equal in all epochs."""

    sizes: NDArray[np.int64]
    """Number of samples in each row group: ``[row groups]``."""

    num_lanes: int
    window_groups: int
    """Number of row groups in one window of a lane."""

    lane_samples: int
    """Number of samples in each lane in one epoch."""


def layout_of(sizes: NDArray[np.int64], batch_size: int, window_samples: int) -> Layout:
    """Divides a dataset into lanes.

    The number of lanes is the largest divisor of the batch size for which the windows of all lanes
    fit into memory together. A dataset that fits into memory as a whole has one lane.

    Args:
        sizes: number of samples in each row group.
        batch_size: number of samples of a step, over all workers.
        window_samples: number of samples that fit into memory.
    """
    groups_in_memory = max(1, window_samples // int(sizes.max()))
    num_lanes = 1
    if len(sizes) > groups_in_memory:
        num_lanes = max(n for n in range(1, groups_in_memory + 1) if batch_size % n == 0)
    used = int(sizes.sum()) // batch_size * batch_size
    return Layout(sizes, num_lanes, groups_in_memory // num_lanes, used // num_lanes)


@dataclass(frozen=True)
class Window:
    """Samples of one lane that are shuffled together."""

    start: int
    """Position of the window's first sample in its lane."""

    samples: NDArray[np.int64]
    """Sample ids in the order of the lane."""

    groups: NDArray[np.int64]
    """Row groups that contain the samples."""


class EpochLanes:
    """Lanes of one epoch.

    Every epoch draws a new order of the row groups and cuts this order into one span for each lane.
    All lanes have the same number of samples, so the border of two spans may lie inside a row
    group. Every second lane runs backwards. So both lanes read the row group at their border at the
    same time, at the beginning or at the end of the epoch.

    Samples that do not fill a batch are the last samples of the last lane. No step takes these
    samples.
    """

    def __init__(self, layout: Layout, seed: int, epoch: int) -> None:
        """Draws the order of the row groups.

        Time and memory grow with the number of row groups, not with the number of samples.
        """
        keys = uniforms(seed, epoch, np.arange(len(layout.sizes)), _GROUP_ORDER, 1)[:, 0]
        self._layout, self._seed, self._epoch = layout, seed, epoch
        self._order = np.argsort(keys, kind="stable")
        self._ends = np.cumsum(layout.sizes[self._order])
        self._first_ids = np.cumsum(layout.sizes) - layout.sizes
        self._current: dict[int, tuple[int, Window]] = {}  # number and window of each lane

    def windows(self, lane: int, start: int, stop: int) -> Iterator[Window]:
        """Yields the windows that contain the positions ``start`` to ``stop`` of a lane."""
        span = self._span(lane)
        while start < stop:
            first, place = self._places(span[0], span[start])
            window = self._window(lane, abs(place - first) // self._layout.window_groups)
            yield window
            start = window.start + len(window.samples)

    def _window(self, lane: int, number: int) -> Window:
        if self._current.get(lane, (None,))[0] != number:
            self._current[lane] = number, self._shuffled_window(lane, number)
        return self._current[lane][1]

    def _shuffled_window(self, lane: int, number: int) -> Window:
        span, width = self._span(lane), self._layout.window_groups
        first, last = self._places(span[0], span[-1])
        places = range(first, last + span.step, span.step)[number * width : (number + 1) * width]
        begin, end = sorted((places[0], places[-1]))
        groups = self._order[begin : end + 1]
        sizes = self._layout.sizes[groups]
        offset = int(self._ends[begin] - sizes[0])
        low, high = sorted((span[0], span[-1]))
        low, high = max(low, offset), min(high, int(self._ends[end]) - 1)
        samples = _rows(self._first_ids[groups], sizes)[low - offset : high + 1 - offset]
        keys = uniforms(self._seed, self._epoch, samples, _SAMPLE_ORDER, 1)[:, 0]
        start = span.index(low if span.step > 0 else high)
        return Window(start, samples[np.argsort(keys, kind="stable")], groups)

    def _span(self, lane: int) -> range:
        """Returns the positions of a lane's samples among all samples of the epoch."""
        is_last = lane == self._layout.num_lanes - 1
        length = self._layout.lane_samples
        end = int(self._ends[-1]) if is_last else (lane + 1) * length
        span = range(lane * length, end)
        return span[::-1] if lane % 2 else span

    def _places(self, *samples: int) -> list[int]:
        """Returns the positions of the samples' row groups among all row groups of the epoch."""
        return [int(place) for place in np.searchsorted(self._ends, samples, side="right")]


def _rows(first_ids: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the sample ids of some row groups, one row group after the other."""
    before = np.cumsum(sizes) - sizes
    ids: NDArray[np.int64] = np.arange(int(sizes.sum())) + np.repeat(first_ids - before, sizes)
    return ids
