"""Writes numbers as text, with the same number of digits everywhere.

In: values and their intervals. Out: text. Next: the answer, the notes and the files of a report.
The terminal uses the same number of digits, but only characters that programs can read.
"""

import math
from collections.abc import Callable, Iterable

from poise.config.wording import unit
from poise.studies.analysis.intervals import Estimate, Share, is_figure
from poise.studies.analysis.p_values import Difference

SIGNIFICANT = 0.05
"""Significance level. A difference with a lower corrected p-value is called more than chance."""

NOTHING = "–"
_MINUS = "\N{MINUS SIGN}"


def decimals_for(metric: str, values: Iterable[float | None]) -> int:
    """Returns the number of decimals for a metric's values.

    Percentages have 1 decimal. Of other metrics, the largest value has three significant digits.
    """
    if unit(metric):
        return 1
    sizes = (abs(value) for value in values if value is not None and math.isfinite(value))
    return _decimals_of(max(sizes, default=0))


def bare(value: float, decimals: int) -> str:
    """Writes a number in a form that programs can read. A number that rounds to 0 has no sign."""
    text = f"{value:.{decimals}f}"
    return text if float(text) else text.lstrip("-")


def shown(value: float | None, decimals: int | None = None) -> str:
    """Writes a number for people, with three significant digits or ``decimals``.

    None becomes a dash.
    """
    if value is None or not is_figure(value):
        return NOTHING
    if decimals is None:
        decimals = _decimals_of(abs(value))
    grouped = f"{float(bare(value, decimals)):,.{decimals}f}"
    return grouped.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", _MINUS)


def signed(value: float | None, decimals: int | None = None) -> str:
    """Writes a number for people, with its sign: ``+1.2``."""
    text = shown(value, decimals)
    return f"+{text}" if value is not None and value > 0 and text != NOTHING else text


def interval(
    found: Estimate | Difference, decimals: int, show: Callable[[float, int], str] = shown
) -> str:
    """Writes an interval: ``29.8 to 32.8``. The text is empty if the interval is unknown."""
    if found.value is None or found.low is None or found.high is None:
        return ""
    return f"{show(found.low, decimals)} to {show(found.high, decimals)}"


def certainty(
    found: Estimate | Difference,
    of: int,
    decimals: int,
    show: Callable[[float, int], str] = shown,
) -> str:
    """Writes an interval: ``29 to 31``.

    If fewer than ``of`` trials were measured, n is added: ``29 to 31, n = 2``.
    """
    if found.value is None:
        return ""
    n = "" if found.n == of else f"n = {found.n}"
    return ", ".join(filter(None, [interval(found, decimals, show), n]))


def p_value(p: float | None) -> str:
    """Writes a p-value with three decimals below 0.1, else with two.

    A value near 0.05 gets more decimals, so that a reader sees on which side of 0.05 it is.
    """
    if p is None:
        return NOTHING
    if p < 0.001:
        return "< 0.001"
    decimals = 3 if p < 0.1 else 2
    while round(p, decimals) == SIGNIFICANT != p:
        decimals += 1
    return shown(p, decimals)


def p_equation(p: float) -> str:
    """Writes a p-value for a sentence: ``p = 0.030``, or ``p < 0.001``."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def out_of(share: Share) -> str:
    """Writes a count out of a total: ``2 of 3``."""
    return f"{share.count} of {share.n}" if share.n else NOTHING


def percent(share: float) -> str:
    """Writes a share from 0 to 1 as a percentage: ``71 %``."""
    return f"{100 * share:.0f} %"


def duration(hours: float) -> str:
    """Writes a duration in seconds, minutes or hours, depending on its length."""
    if hours < 1 / 60:
        return f"{shown(3600 * hours, 0)} seconds"
    return f"{shown(60 * hours, 1)} minutes" if hours < 1.5 else f"{shown(hours)} hours"


def chance(share: Share) -> str:
    """Writes the confidence interval of a share: ``9 to 99 %``.

    The text is empty with fewer than two trials.
    """
    if share.n < 2 or share.low is None or share.high is None:
        return ""
    return f"{100 * share.low:.0f} to {percent(share.high)}"


def capitalized(text: str) -> str:
    """Makes the first letter a capital letter.

    A text that begins with a symbol, such as ``k-NN``, stays as it is.
    """
    return text[:1].upper() + text[1:] if text[1:2].isalpha() else text


def _decimals_of(size: float) -> int:
    """Returns the number of decimals for three significant digits, from 0 to 4."""
    return min(max(2 - math.floor(math.log10(size)), 0), 4) if size else 0
