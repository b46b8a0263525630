"""The order of samples: complete, the same for every number of workers, and cheap to read."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from poise.config import PoiseError
from poise.data.stream.plan import Plan, window_samples


def epoch_ids(plan: Plan, epoch: int) -> list[int]:
    steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
    return [int(sample) for step in steps for sample in plan.sample_ids(step)]


def divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]


def groups_of(ids: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(np.searchsorted(np.cumsum(sizes), ids, side="right"))


def groups_read(plan: Plan, sizes: NDArray[np.int64], rank: int, num_workers: int) -> int:
    """How many row groups a worker reads in the first epoch, each as often as it reads it."""
    held: set[int] = set()
    count = 0
    for step in range(plan.steps_per_epoch):
        share = plan.share(step, rank, num_workers)
        needed = set(groups_of(share.sample_ids, sizes).tolist())
        assert needed <= set(share.groups.tolist())
        held &= set(share.groups.tolist())
        count += len(needed - held)
        held |= needed
    return count


untimed = settings(deadline=None, max_examples=50)  # of a shared machine
row_groups = st.lists(st.integers(1, 9), min_size=1, max_size=40)


@untimed
@given(
    sizes=row_groups,
    batch_size=st.integers(1, 24),
    window=st.integers(1, 100),
    seed=st.integers(0, 2**31 - 1),
)
def test_an_epoch_holds_each_sample_at_most_once_and_leaves_out_less_than_a_batch(
    sizes: list[int], batch_size: int, window: int, seed: int
) -> None:
    total = sum(sizes)
    batch_size = min(batch_size, total)
    plan = Plan(np.array(sizes), batch_size, 2, seed, window)
    assert plan.total_steps == 2 * (total // batch_size)
    for epoch in range(2):
        ids = epoch_ids(plan, epoch)
        assert len(set(ids)) == len(ids) == total // batch_size * batch_size
        assert set(ids) <= set(range(total))


@untimed
@given(sizes=row_groups, batch_size=st.sampled_from([6, 8, 12, 24]), window=st.integers(1, 100))
def test_every_number_of_workers_shares_the_same_batches(
    sizes: list[int], batch_size: int, window: int
) -> None:
    sizes = [*sizes, batch_size]
    plan = Plan(np.array(sizes), batch_size, 1, seed=3, window_samples=window)
    worlds = divisors(batch_size)
    for step in range(plan.total_steps):  # another number of workers in every step
        num_workers = worlds[step % len(worlds)]
        shares = [plan.share(step, rank, num_workers) for rank in range(num_workers)]
        ids = [share.sample_ids for share in shares]
        assert {len(each) for each in ids} == {batch_size // num_workers}
        np.testing.assert_array_equal(np.concatenate(ids), plan.sample_ids(step))
        for share in shares:
            assert set(groups_of(share.sample_ids, np.array(sizes))) <= set(share.groups)


@untimed
@given(
    sizes=st.lists(st.integers(1, 9), min_size=9, max_size=40),
    batch_size=st.sampled_from([4, 8, 12, 16]),
    memory=st.integers(9, 72),
)
def test_workers_with_lanes_of_their_own_read_a_row_group_twice_only_where_they_meet(
    sizes: list[int], batch_size: int, memory: int
) -> None:
    sizes = [*sizes, batch_size]
    plan = Plan(np.array(sizes), batch_size, 1, seed=5, window_samples=memory)
    for num_workers in divisors(plan.num_lanes):
        read = [
            groups_read(plan, np.array(sizes), rank, num_workers) for rank in range(num_workers)
        ]
        assert sum(read) <= len(sizes) + num_workers - 1


@pytest.mark.parametrize("num_workers", [1, 2, 3, 4, 6, 12, 15, 20, 30, 60])
def test_any_number_of_workers_reads_as_often_as_lanes_and_workers_cut_each_other(
    num_workers: int,
) -> None:
    sizes = np.array([10] * 300)
    plan = Plan(sizes, 60, 1, seed=0, window_samples=150)
    assert plan.num_lanes == 15
    read = sum(groups_read(plan, sizes, rank, num_workers) for rank in range(num_workers))
    parts = 15 + num_workers - math.gcd(15, num_workers)
    assert read / 300 == pytest.approx(parts / 15, rel=0.05)


@untimed
@given(sizes=st.lists(st.integers(6, 9), min_size=20, max_size=30), memory=st.integers(54, 90))
def test_a_worker_holds_the_windows_of_its_own_lanes(sizes: list[int], memory: int) -> None:
    plan = Plan(np.array(sizes), 12, 1, seed=1, window_samples=memory)
    for num_workers in divisors(plan.num_lanes):
        for step in range(plan.total_steps):
            held = len(plan.share(step, 0, num_workers).groups)
            two_windows = 2 * (memory // max(sizes)) // num_workers
            assert held <= two_windows, "a step may end one window and begin the next"


def test_a_step_mixes_row_groups_of_all_lanes() -> None:
    sizes = np.array([16] * 400)  # 12.5 for each lane: every second border is inside a row group
    plan = Plan(sizes, 64, 1, seed=0, window_samples=16 * 32)
    assert plan.num_lanes == 32
    mixed = [len(groups_of(plan.sample_ids(step), sizes)) for step in range(plan.total_steps)]
    assert set(mixed[4:-4]) == {32}
    assert min(mixed) == 16, "two lanes share a row group where the epoch begins or ends"


def test_any_step_can_be_asked_for_first() -> None:
    sizes = np.array([7] * 20 + [3])
    for window in (21, 60, 1000):
        in_order = Plan(sizes, 8, 3, seed=1, window_samples=window)
        expected = [in_order.sample_ids(step) for step in range(in_order.total_steps)]
        for step in (40, 3, 17, 50, 0):
            fresh = Plan(sizes, 8, 3, seed=1, window_samples=window)
            np.testing.assert_array_equal(fresh.sample_ids(step), expected[step])


def test_epochs_and_seeds_have_their_own_order() -> None:
    sizes = np.array([10] * 10)
    orders = [
        tuple(epoch_ids(Plan(sizes, 10, 2, seed, window), epoch))
        for seed in (0, 1)
        for window in (20, 100)
        for epoch in (0, 1)
    ]
    assert len(set(orders)) == 8


@pytest.mark.parametrize(("sizes", "window"), [([50], 50), ([5] * 10, 50), ([5] * 10, 20)])
def test_what_is_left_out_differs_between_epochs(sizes: list[int], window: int) -> None:
    plan = Plan(np.array(sizes), 12, 40, seed=0, window_samples=window)
    left_out = [set(range(50)) - set(epoch_ids(plan, epoch)) for epoch in range(40)]
    assert {len(each) for each in left_out} == {2}
    assert len(set().union(*left_out)) > 30


def test_a_dataset_that_fits_into_memory_is_shuffled_whole() -> None:
    plan = Plan(np.array([10] * 100), 1000, 1, seed=0)
    ids = epoch_ids(plan, 0)
    assert plan.num_lanes == 1
    assert abs(stats.spearmanr(ids, range(1000)).statistic) < 0.1
    assert np.abs(np.diff(ids)).mean() == pytest.approx(1000 / 3, rel=0.1)


def test_one_lane_has_the_order_of_versions_before_lanes() -> None:
    """Recorded. Runs on small datasets that an older version began go on in the same order."""
    sizes = np.array([4] * 6 + [2])
    plan = Plan(sizes, 8, 2, seed=7)
    assert plan.sample_ids(1).tolist() == [4, 18, 20, 22, 19, 5, 9, 16]
    assert plan.sample_ids(4).tolist() == [11, 18, 4, 7, 12, 19, 20, 23]
    of_several_windows = Plan(sizes, 13, 2, seed=7, window_samples=9)
    recorded = [17, 13, 3, 15, 0, 12, 14, 2, 1, 4, 5, 7, 6]
    assert of_several_windows.sample_ids(1).tolist() == recorded


def test_lanes_divide_the_batch_and_each_has_a_row_group_of_the_memory() -> None:
    def lanes(batch_size: int, memory: int, groups: int = 1000) -> int:
        return Plan(np.full(groups, 128), batch_size, 1, 0, memory).num_lanes

    assert lanes(1024, 64 * 128) == 64
    assert lanes(96, 64 * 128) == 48
    assert lanes(127, 64 * 128) == 1
    assert lanes(4096, 65_536) == 512
    assert lanes(1024, 100) == 1  # memory for less than one row group
    assert lanes(1024, 64 * 128, groups=64) == 1
    assert lanes(1024, 64 * 128, groups=65) == 64


def test_a_window_is_all_that_must_be_held() -> None:
    """Reading in order touches each row group in one stretch of a window, and then never again."""
    plan = Plan(np.array([10] * 100), 19, 1, seed=0, window_samples=200)
    assert plan.num_lanes == 19
    share = np.array([plan.share(step, 4, 19).sample_ids[0] for step in range(plan.total_steps)])
    groups = share // 10
    for group in set(groups.tolist()):
        places = np.flatnonzero(groups == group)
        assert places.max() - places.min() == len(places) - 1


def test_the_window_is_a_gibibyte_at_most() -> None:
    assert window_samples(110_000) == 8192
    assert window_samples(2_500) == 65_536
    assert window_samples(5e9) == 1


def test_a_description_changes_with_whatever_changes_the_order() -> None:
    sizes = [8] * 30
    plans = [
        Plan(np.array(sizes), 16, 1, 0, 32),
        Plan(np.array(sizes), 16, 1, 0, 64),
        Plan(np.array([*sizes[:-1], 7]), 16, 1, 0, 32),
    ]
    assert len({plan.described for plan in plans}) == 3
    assert plans[0].described == Plan(np.array(sizes), 16, 5, 9, 39).described


def test_what_cannot_be_planned_is_an_error() -> None:
    with pytest.raises(PoiseError, match=r"batch_size=9 .*5 images"):
        Plan(np.array([5]), 9, 1, seed=0)
    with pytest.raises(IndexError, match="step 5"):
        Plan(np.array([5]), 1, 1, seed=0).sample_ids(5)
    with pytest.raises(PoiseError, match=r"batch_size=4 is no multiple of 3 workers"):
        Plan(np.array([5]), 4, 1, seed=0).check_workers(3)
