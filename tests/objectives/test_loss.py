"""The contracted loss is the published double loop, and its written-down gradient is right."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from poise.objectives.loss import dino_loss


def slow_loss(student_logits: Tensor, teacher_probs: Tensor, temp: float) -> Tensor:
    terms = [
        -(teacher_probs[i] * log_softmax(student_logits[v] / temp, dim=-1)).sum(-1).mean()
        for i in range(len(teacher_probs))
        for v in range(len(student_logits))
        if v != i
    ]
    return torch.stack(terms).mean()


@pytest.mark.parametrize(
    ("num_teachers", "num_locals"), [(1, 1), (1, 5), (2, 0), (2, 1), (2, 5), (3, 0), (3, 4)]
)
@pytest.mark.parametrize("temp", [0.05, 0.1, 1.0])
def test_equals_the_loop_over_pairs_of_views(
    num_teachers: int, num_locals: int, temp: float
) -> None:
    generator = torch.Generator().manual_seed(num_teachers * 7 + num_locals)
    shape = (num_teachers + num_locals, 3, 11)
    logits = torch.randn(shape, generator=generator).requires_grad_()
    probs = torch.randn((num_teachers, 3, 11), generator=generator).softmax(-1)
    expected = slow_loss(logits, probs, temp)
    (expected_gradient,) = torch.autograd.grad(expected, logits)
    loss = dino_loss(logits, probs, temp)
    (gradient,) = torch.autograd.grad(3 * loss, logits)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, 3 * expected_gradient)


def test_is_ln_k_when_both_sides_are_uniform() -> None:
    probs = torch.full((2, 4, 50), 1 / 50)
    assert dino_loss(torch.zeros(6, 4, 50), probs, 0.1).item() == pytest.approx(math.log(50))


def test_survives_logits_that_overflow_a_plain_exponential() -> None:
    logits = torch.tensor([[[1e4, -1e4, 0.0]], [[1e4, -1e4, 0.0]]])
    probs = torch.tensor([[[1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]]])
    assert dino_loss(logits, probs, 0.1).item() == pytest.approx(0.0, abs=1e-6)


def test_gives_bfloat16_logits_a_bfloat16_gradient_computed_in_float32() -> None:
    logits = torch.randn(4, 2, 8, generator=torch.Generator().manual_seed(0))
    probs = logits[:2].softmax(-1)
    low = logits.bfloat16().requires_grad_()
    high = low.detach().float().requires_grad_()
    dino_loss(low, probs, 0.1).backward()
    dino_loss(high, probs, 0.1).backward()
    assert low.grad is not None and high.grad is not None
    assert low.grad.dtype == torch.bfloat16
    torch.testing.assert_close(low.grad.float(), high.grad, rtol=1e-2, atol=1e-4)


def test_is_computed_in_float32_under_autocast() -> None:
    """The products with the teacher were once rounded to bfloat16, and with them the loss."""
    logits = 10 * torch.randn(6, 4, 64, generator=torch.Generator().manual_seed(0))
    probs = logits[:2].softmax(-1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = dino_loss(logits, probs, 0.1)
    torch.testing.assert_close(rounded, dino_loss(logits, probs, 0.1))
