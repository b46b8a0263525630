import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from poise.config import PoiseError
from poise.data.stream.plan import Plan, window_samples


def epoch_ids(plan: Plan, epoch: int) -> list[int]:
    steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
    return [int(sample) for step in steps for sample in plan.sample_ids(step)]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    batch_size=st.integers(1, 9),
    window=st.integers(1, 60),
    seed=st.integers(0, 2**31 - 1),
)
def test_an_epoch_holds_each_sample_at_most_once(
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
        if total % batch_size == 0:
            assert set(ids) == set(range(total))


def test_any_step_can_be_asked_for_first() -> None:
    sizes = np.array([7] * 20 + [3])
    in_order = Plan(sizes, 8, 3, seed=1, window_samples=21)
    expected = [in_order.sample_ids(step) for step in range(in_order.total_steps)]
    for step in (40, 3, 17, 50, 0):
        fresh = Plan(sizes, 8, 3, seed=1, window_samples=21)
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


def test_the_ranks_shares_make_the_global_batch() -> None:
    plan = Plan(np.array([50]), 12, 1, seed=0)
    for world_size in (1, 2, 3, 4):
        shares = [plan.worker_ids(2, rank, world_size) for rank in range(world_size)]
        np.testing.assert_array_equal(np.concatenate(shares), plan.sample_ids(2))


def test_a_dataset_of_one_window_is_shuffled_whole() -> None:
    ids = epoch_ids(Plan(np.array([10] * 100), 1000, 1, seed=0), 0)
    assert abs(stats.spearmanr(ids, range(1000)).statistic) < 0.1
    assert np.abs(np.diff(ids)).mean() == pytest.approx(1000 / 3, rel=0.1)


def test_a_window_is_all_that_must_be_held() -> None:
    """Reading in order touches each row group in one stretch of a window, and then never again."""
    plan = Plan(np.array([10] * 100), 20, 1, seed=0, window_samples=200)
    groups = np.array(epoch_ids(plan, 0)) // 10
    for group in range(100):
        places = np.flatnonzero(groups == group)
        assert places.max() // 200 == places.min() // 200
    assert len(set((groups[:200]).tolist())) == 20


def test_the_window_is_a_gibibyte_at_most() -> None:
    assert window_samples(110_000) == 8192
    assert window_samples(2_500) == 65_536
    assert window_samples(5e9) == 1


def test_a_batch_larger_than_the_dataset_is_an_error() -> None:
    with pytest.raises(PoiseError, match=r"batch_size=9 .*5 images"):
        Plan(np.array([5]), 9, 1, seed=0)
    with pytest.raises(IndexError, match="step 5"):
        Plan(np.array([5]), 1, 1, seed=0).sample_ids(5)
