import pytest

from poise.studies.analysis.intervals import Estimate
from poise.studies.number_format import certainty, decimals_for, p_equation, p_value, shown, signed


def test_numbers_have_as_many_digits_as_they_deserve() -> None:
    assert [shown(each) for each in (0.5, 12.345, 1234.5, 0.01234, 0, None, float("nan"))] == [
        "0.500", "12.3", "1\N{NARROW NO-BREAK SPACE}234", "0.0123", "0", "–", "–",
    ]  # fmt: skip
    assert [signed(each, 1) for each in (1.25, -1.25, -0.01)] == ["+1.2", "−1.2", "0.0"]


def test_figures_that_stand_together_have_decimals_alike() -> None:
    assert decimals_for("eval/knn_top1", [1234.5]) == 1
    assert decimals_for("loss/total", [0.02, 3.1, None, float("nan")]) == 2
    assert decimals_for("loss/total", []) == 0


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0504, "0.0504"),
        (0.04996, "0.04996"),
        (0.05, "0.050"),
        (0.0123, "0.012"),
        (0.35, "0.35"),
        (0.0004, "< 0.001"),
        (None, "–"),
    ],
)
def test_a_p_is_never_rounded_onto_what_decides(p: float | None, text: str) -> None:
    assert p_value(p) == text


def test_a_p_in_a_sentence_is_an_equation() -> None:
    assert (p_equation(0.0504), p_equation(0.0004)) == ("p = 0.0504", "p < 0.001")


def test_n_is_told_where_it_is_not_all() -> None:
    found = Estimate(30.0, 29.0, 31.0, 2)
    assert certainty(found, 2, 1) == "29.0 to 31.0"
    assert certainty(found, 3, 1) == "29.0 to 31.0, n = 2"
    assert certainty(Estimate(30.0, None, None, 1), 3, 1) == "n = 1"
    assert certainty(Estimate(None, None, None, 0), 3, 1) == ""
