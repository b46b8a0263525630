import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from poise.diagnostics.batch_statistics import BatchStatistics
from poise.diagnostics.observe import diagnose
from poise.diagnostics.prototypes import (
    COMPARED_PROTOTYPES,
    WINDOW,
    AssignmentWindow,
    dead_share,
    duplicate_share,
    perplexity,
    usage_metrics,
    used_share,
)
from poise.objectives.base import Observation

K = 64


def one_prototype_each(chosen: Tensor) -> Observation:
    """Targets [1, n, K] that put everything on the chosen prototypes [n]."""
    return Observation(teacher_probs=one_hot(chosen, K).float()[None])


def usage(observation: Observation, window: AssignmentWindow | None = None) -> dict[str, float]:
    numbers = dict(diagnose(BatchStatistics.of(observation), window=window))
    return {
        name.removeprefix("prototypes/"): value
        for name, value in numbers.items()
        if name.startswith("prototypes/")
    }


def test_every_prototype_in_use_alike() -> None:
    found = usage(one_prototype_each(torch.arange(K).repeat(3)))
    assert found == pytest.approx({"used_share": 1, "perplexity": K, "dead_share": 0})


def test_one_prototype_for_all() -> None:
    found = usage(one_prototype_each(torch.full((100,), 7)))
    assert found == pytest.approx({"used_share": 1 / K, "perplexity": 1, "dead_share": 1 - 1 / K})


def test_a_uniform_teacher_uses_all_prototypes_and_chooses_one() -> None:
    found = usage(Observation(teacher_probs=torch.full((2, 50, K), 1 / K)))
    assert found == pytest.approx({"used_share": 1 / K, "perplexity": K, "dead_share": 0})


def test_a_quarter_of_the_prototypes() -> None:
    found = usage(one_prototype_each(torch.arange(2 * K) % (K // 4)))
    assert found == pytest.approx({"used_share": 0.25, "perplexity": K / 4, "dead_share": 0.75})


def test_no_more_prototypes_are_asked_for_than_there_are_targets() -> None:
    assert used_share(torch.tensor([3, 9, 9, 40]), 65_536).item() == 3 / 4


def test_a_prototype_is_dead_below_a_hundredth_of_an_even_part() -> None:
    mean_probs = torch.tensor([0.0024, 0.0026, 0.25, 0.745])  # an even part is 0.25
    assert dead_share(mean_probs).item() == 0.25
    assert perplexity(torch.tensor([0.5, 0.5, 0.0])).item() == pytest.approx(2)


def test_the_window_adds_observations_up_and_forgets_the_oldest() -> None:
    window = AssignmentWindow()
    for step in range(WINDOW):
        found = usage(one_prototype_each(torch.tensor([step, step])), window)
        assert found["perplexity"] == pytest.approx(step + 1)
        assert found["used_share"] == pytest.approx((step + 1) / min(K, 2 * (step + 1)))
    found = usage(one_prototype_each(torch.tensor([1, 1])), window)
    assert found["perplexity"] < WINDOW, "observation 0 is gone"
    assert len(window.chosen) == 2 * WINDOW


def test_a_window_that_was_stored_goes_on_alike() -> None:
    first, second = AssignmentWindow(), AssignmentWindow()
    for step in range(WINDOW + 3):
        usage(one_prototype_each(torch.tensor([step, 2 * step])), first)
    second.load_state_dict(first.state_dict())
    following = one_prototype_each(torch.tensor([50, 51]))
    assert usage(following, first) == usage(following, second)


def test_a_window_with_a_broken_observation_says_so() -> None:
    window = AssignmentWindow()
    window.add(torch.tensor([1]), torch.full((K,), math.nan))
    assert all(value.isnan() for value in usage_metrics(window).values())


def test_duplicates_are_counted_whatever_their_norm() -> None:
    distinct = torch.eye(32)
    assert duplicate_share(distinct).item() == 0
    copies = torch.cat([distinct, 5 * distinct[:8]])
    assert duplicate_share(copies).item() == pytest.approx(16 / 40)
    assert duplicate_share(-copies[:33]).item() == pytest.approx(2 / 33)


def test_opposite_prototypes_are_no_duplicates() -> None:
    assert duplicate_share(torch.cat([torch.eye(8), -torch.eye(8)])).item() == 0


def test_the_threshold_is_a_cosine_of_0_975() -> None:
    def apart(cosine: float) -> Tensor:
        return torch.tensor([[1.0, 0.0], [cosine, math.sqrt(1 - cosine**2)]])

    assert duplicate_share(apart(0.974)).item() == 0
    assert duplicate_share(apart(0.976)).item() == 1


def test_of_many_prototypes_the_share_is_estimated_without_bias() -> None:
    """A third have their only double far off, in another block of the comparison."""
    torch.manual_seed(0)
    directions = normalize(torch.randn(24_000, 64), dim=-1)
    directions[20_000:] = directions[:4000]
    directions = directions[torch.randperm(len(directions))]
    deviation = math.sqrt(1 / 3 * 2 / 3 / COMPARED_PROTOTYPES)
    assert duplicate_share(directions).item() == pytest.approx(1 / 3, abs=3 * deviation)


def test_prototypes_that_are_not_finite_are_no_duplicates_either() -> None:
    assert duplicate_share(torch.full((4, 3), math.nan)).isnan()
