import math

import pytest
import torch
from torch import Tensor

from poise.diagnostics.batch_statistics import BatchStatistics
from poise.diagnostics.observe import diagnose
from poise.diagnostics.parameters import ema_gap
from poise.diagnostics.self_distillation import batch_averages
from poise.objectives.base import Observation


def numbers_of(observation: Observation, **scalars: Tensor) -> dict[str, float]:
    return dict(diagnose(BatchStatistics.of(observation), scalars))


def observe(teacher_logits: Tensor, student_logits: Tensor | None = None) -> dict[str, float]:
    probs = teacher_logits.softmax(-1)
    return numbers_of(Observation(teacher_probs=probs, student_logits=student_logits))


@pytest.mark.parametrize(("num_teacher", "num_views"), [(2, 2), (2, 6), (1, 3), (3, 5)])
def test_cross_entropy_is_the_mean_over_every_pair_of_different_views(
    num_teacher: int, num_views: int
) -> None:
    teacher = (3 * torch.randn(num_teacher, 4, 11)).softmax(-1)
    student = 5 * torch.randn(num_views, 4, 11)
    pairs = [
        -(teacher[i] * student[v].log_softmax(-1)).sum(-1).mean()
        for i in range(num_teacher)
        for v in range(num_views)
        if i != v
    ]
    found = batch_averages(teacher, student)["teacher/cross_entropy"]
    torch.testing.assert_close(found, torch.stack(pairs).mean())


def test_cross_entropy_is_entropy_plus_kl() -> None:
    numbers = observe(torch.randn(2, 8, 16), torch.randn(6, 8, 16))
    assert numbers["teacher/cross_entropy"] == pytest.approx(
        numbers["teacher/entropy"] + numbers["teacher/kl"], rel=1e-5
    )
    assert numbers["teacher/kl"] > 0.1


def test_a_uniform_teacher_has_full_entropy_and_no_information() -> None:
    numbers = observe(torch.zeros(2, 8, 64), torch.zeros(4, 8, 64))
    assert numbers["teacher/entropy"] == pytest.approx(math.log(64), rel=1e-5)
    assert numbers["teacher/entropy_over_ln_k"] == pytest.approx(1, rel=1e-5)
    assert numbers["teacher/mutual_information"] == pytest.approx(0, abs=1e-5)
    assert numbers["teacher/kl"] == pytest.approx(0, abs=1e-5)


def test_one_prototype_for_all_has_neither_entropy_nor_information() -> None:
    logits = torch.zeros(2, 8, 64)
    logits[..., 5] = 200
    numbers = observe(logits, logits.repeat(2, 1, 1))
    assert [numbers[f"teacher/{name}"] for name in ("entropy", "kl", "marginal_entropy")] == [0] * 3


def test_one_prototype_per_image_is_all_information() -> None:
    numbers = observe(200 * torch.eye(64).repeat(2, 1, 1))
    assert numbers["teacher/entropy"] == pytest.approx(0, abs=1e-6)
    assert numbers["teacher/mutual_information_over_ln_k"] == pytest.approx(1, rel=1e-5)


def test_only_what_the_observation_allows_is_yielded() -> None:
    assert numbers_of(Observation()) == {}
    assert set(numbers_of(Observation(center=torch.ones(4)))) == {"center/norm"}
    of_one_view = set(numbers_of(Observation(features=torch.randn(1, 4, 3))))
    of_two_views = set(numbers_of(Observation(features=torch.randn(2, 4, 3))))
    assert {name.split("/")[0] for name in of_two_views} == {"features"}
    assert of_two_views - of_one_view == {"features/alignment", "features/lidar"}


def test_the_loops_own_scalars_ride_along() -> None:
    numbers = numbers_of(Observation(), **{"gradient/norm": torch.tensor(2.5)})
    assert numbers == {"gradient/norm": 2.5}


def test_a_broken_step_is_reported_not_raised() -> None:
    broken = torch.full((2, 4, 8), torch.nan)
    observation = Observation(
        features=broken, teacher_probs=broken, student_logits=broken, center=broken[0, 0]
    )
    assert all(math.isnan(value) for value in numbers_of(observation).values())


def test_ema_gap_is_the_relative_distance_and_zero_for_a_copy() -> None:
    student, teacher = [torch.ones(3), torch.ones(2, 2)], [torch.ones(3), 2 * torch.ones(2, 2)]
    assert ema_gap(student, teacher).item() == pytest.approx(math.sqrt(4 / 19))
    assert ema_gap(student, student).item() == 0
    with pytest.raises(ValueError, match="1 of the teacher"):
        ema_gap(student, teacher[:1])
