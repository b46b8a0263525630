"""What the advice says where numbers are not finite: the images come first."""

import math

import pytest

from poise.diagnostics.judge import VerdictKind, judge
from tests.diagnostics.judge.test_judge import SIGNALS, healthy


def lost(step: int, **views: float) -> list[tuple[int, dict[str, float]]]:
    metrics = {name.replace("__", "/"): value for name, value in views.items()}
    return [(step, {"loss/total": math.nan, **metrics})]


@pytest.mark.parametrize(
    ("value", "said"), [(math.nan, "are not all finite"), (math.inf, "not all"), (3e8, "3e+08")]
)
def test_views_that_are_not_finite_or_wild_are_blamed_before_the_optimiser(
    value: float, said: str
) -> None:
    verdict = judge(lost(1, views__largest_value=value), SIGNALS)
    assert verdict.kind is VerdictKind.DIVERGED
    assert said in verdict.evidence
    assert "poise data preview" in verdict.advice and "normalization" in verdict.advice
    assert "base_lr" not in verdict.advice


def test_where_the_views_are_fine_the_optimiser_is_blamed() -> None:
    verdict = judge(lost(1, views__largest_value=2.6), SIGNALS)
    assert "base_lr" in verdict.advice and "preview" not in verdict.advice


def test_where_nothing_is_known_of_the_views_both_are_named_in_the_first_steps() -> None:
    advice = judge(lost(8), SIGNALS).advice
    assert advice.index("preview") < advice.index("base_lr")


def test_a_step_without_explosion_is_not_denied() -> None:
    losses = [1.0] * 10 + [9.0] * 20 + [1.9] + [9.0] * 19
    run = [(20 * number, {"loss/over_ln_k": loss}) for number, loss in enumerate(losses)]
    verdict = judge(run, SIGNALS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.DIVERGED, 200)
    assert "loss / ln K has been above 2 at 39 of 40 logged steps." in verdict.evidence


def test_a_run_that_diverges_late_is_told_about_its_optimiser() -> None:
    verdict = judge([*healthy(), *lost(1020)], SIGNALS)
    assert "base_lr" in verdict.advice and "preview" not in verdict.advice
