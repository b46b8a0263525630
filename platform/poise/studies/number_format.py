"""Writes numbers as text, with the same digits in all places.

In: values and their intervals. Out: text. Next: the answer, the notes and the report's files. The
terminal uses the same digits, but only characters that a program can read.
"""

import math
from collections.abc import Callable, Iterable

from poise.config.wording import unit
from poise.studies.analysis.intervals import Estimate, Share, is_figure
from poise.studies.analysis.p_values import Difference

SIGNIFICANT = 0.05
"""A difference with a corrected p-value below this is called more than chance."""

NOTHING = "–"
_MINUS = "\N{MINUS SIGN}"


def decimals_for(metric: str, values: Iterable[float | None]) -> int:
    """Returns the number of decimals for a metric's values.

    It is 1 for percentages. Otherwise it keeps three significant digits.
    """
    if unit(metric):
        return 1
    sizes = (abs(value) for value in values if value is not None and math.isfinite(value))
    return _decimals_of(max(sizes, default=0))


def bare(value: float, decimals: int) -> str:
    """Writes a number that a program can read. A number that rounds to 0 has no sign."""
    text = f"{value:.{decimals}f}"
    return text if float(text) else text.lstrip("-")


def shown(value: float | None, decimals: int | None = None) -> str:
    """Writes a number for people: three digits, or the given decimals; a dash for None."""
    if value is None or not is_figure(value):
        return NOTHING
    if decimals is None:
        decimals = _decimals_of(abs(value))
    grouped = f"{float(bare(value, decimals)):,.{decimals}f}"
    return grouped.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", _MINUS)


def signed(value: float | None, decimals: int | None = None) -> str:
    """Writes a number for people with its sign: ``+1.2``."""
    text = shown(value, decimals)
    return f"+{text}" if value is not None and value > 0 and text != NOTHING else text


def interval(
    found: Estimate | Difference, decimals: int, show: Callable[[float, int], str] = shown
) -> str:
    """Writes an interval: ``29.8 to 32.8``; empty if it is unknown."""
    if found.value is None or found.low is None or found.high is None:
        return ""
    return f"{show(found.low, decimals)} to {show(found.high, decimals)}"


def certainty(
    found: Estimate | Difference,
    of: int,
    decimals: int,
    show: Callable[[float, int], str] = shown,
) -> str:
    """Writes an interval, and n if fewer than ``of`` trials were measured: ``29 to 31, n = 2``."""
    if found.value is None:
        return ""
    n = "" if found.n == of else f"n = {found.n}"
    return ", ".join(filter(None, [interval(found, decimals, show), n]))


def p_value(p: float | None) -> str:
    """Writes a p-value: three decimals below 0.1, two above.

    A value near 0.05 gets more decimals, so that a reader sees on which side of 0.05 it lies.
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


def counted(share: Share) -> str:
    """Writes a count: ``2 of 3``."""
    return f"{share.count} of {share.n}" if share.n else NOTHING


def percent(share: float) -> str:
    """Writes a share from 0 to 1 as a percentage: ``71 %``."""
    return f"{100 * share:.0f} %"


def chance(share: Share) -> str:
    """Writes the interval of the true rate of a count: ``9 to 99 %``.

    It is empty with fewer than two trials.
    """
    if share.n < 2 or share.low is None or share.high is None:
        return ""
    return f"{100 * share.low:.0f} to {percent(share.high)}"


def capitalized(text: str) -> str:
    """Makes the first letter a capital, unless the text begins with a symbol such as ``k-NN``."""
    return text[:1].upper() + text[1:] if text[1:2].isalpha() else text


def _decimals_of(size: float) -> int:
    """Returns the number of decimals that keep three significant digits, at most 4."""
    return min(max(2 - math.floor(math.log10(size)), 0), 4) if size else 0
