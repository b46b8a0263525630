import pytest
import torch
from torch import Tensor

from poise.diagnostics.self_distillation import batch_averages, entropies_of


def pairs_kl(teacher: Tensor, student: Tensor, views: range) -> Tensor:
    """KL(P_t^i‖P_s^v), mean over images and pairs i ≠ v with v in ``views``."""
    found = [
        (teacher[i] * (teacher[i].log() - student[v].log_softmax(-1))).sum(-1).mean()
        for i in range(len(teacher))
        for v in views
        if i != v
    ]
    return torch.stack(found).mean()


@pytest.mark.parametrize(("num_global", "num_views"), [(2, 6), (2, 3), (1, 3), (3, 5)])
def test_kl_is_told_apart_by_the_kind_of_student_view(num_global: int, num_views: int) -> None:
    teacher = (3 * torch.randn(num_global, 4, 11)).softmax(-1)
    student = 2 * torch.randn(num_views, 4, 11)
    found = batch_averages(teacher, student)
    kinds = {"": range(num_views), "_local": range(num_global, num_views)}
    if num_global > 1:
        kinds["_global"] = range(num_global)
    for kind, views in kinds.items():
        torch.testing.assert_close(found[f"teacher/kl{kind}"], pairs_kl(teacher, student, views))
    assert ("teacher/kl_global" in found) == (num_global > 1)


def test_a_student_that_knows_global_views_and_not_local_ones() -> None:
    said = 4 * torch.eye(8)[None].repeat(2, 1, 1)  # both views of an image: the same
    teacher = said.softmax(-1)
    found = batch_averages(teacher, torch.cat([said, torch.zeros(3, 8, 8)]))
    assert found["teacher/kl_global"].item() == pytest.approx(0, abs=1e-6)
    assert found["teacher/kl_local"].item() > 1
    assert found["student/entropy_local"].item() == pytest.approx(torch.log(torch.tensor(8.0)))
    torch.testing.assert_close(found["student/entropy_global"], found["teacher/entropy"])


def test_without_local_views_nothing_is_said_of_them() -> None:
    teacher = torch.randn(2, 4, 5).softmax(-1)
    assert not [name for name in batch_averages(teacher, torch.randn(2, 4, 5)) if "local" in name]


def test_the_entropy_of_logits_is_that_of_their_softmax() -> None:
    logits = 3 * torch.randn(3, 7, 9)
    expected = torch.distributions.Categorical(logits=logits).entropy().mean(-1)
    torch.testing.assert_close(entropies_of(logits), expected)
    huge = torch.tensor([[[0.0, 3e4, -3e4]]])
    assert entropies_of(huge).item() == 0
