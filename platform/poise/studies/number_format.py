"""Numbers with as many digits as they deserve, the same wherever a figure is told.

In: figures and how sure they are. Out: text. Next: the answer, the notes, the report and its twins;
the terminal has the same digits bare of signs that a program could not read.
"""

import math
from collections.abc import Callable, Iterable

from poise.config.wording import unit
from poise.studies.estimates import Difference, Estimate, Share, is_figure

SIGNIFICANT = 0.05
"""A corrected p-value below this is called more than chance."""

NOTHING = "–"
_MINUS = "\N{MINUS SIGN}"


def decimals_for(metric: str, values: Iterable[float | None]) -> int:
    """For figures that stand together.

    Percentages have one; of others, the largest keeps three digits.
    """
    if unit(metric):
        return 1
    sizes = (abs(value) for value in values if value is not None and math.isfinite(value))
    return _decimals_of(max(sizes, default=0))


def bare(value: float, decimals: int) -> str:
    """A number that a program can read; what rounds to 0 has no sign."""
    text = f"{value:.{decimals}f}"
    return text if float(text) else text.lstrip("-")


def shown(value: float | None, decimals: int | None = None) -> str:
    """A number for a person: three digits, or so many decimals; a dash where there is none."""
    if value is None or not is_figure(value):
        return NOTHING
    if decimals is None:
        decimals = _decimals_of(abs(value))
    grouped = f"{float(bare(value, decimals)):,.{decimals}f}"
    return grouped.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", _MINUS)


def signed(value: float | None, decimals: int | None = None) -> str:
    """As ``shown``, with its sign."""
    text = shown(value, decimals)
    return f"+{text}" if value is not None and value > 0 and text != NOTHING else text


def interval(
    found: Estimate | Difference, decimals: int, show: Callable[[float, int], str] = shown
) -> str:
    """``29.8 to 32.8``; empty where it cannot be known."""
    if found.value is None or found.low is None or found.high is None:
        return ""
    return f"{show(found.low, decimals)} to {show(found.high, decimals)}"


def certainty(
    found: Estimate | Difference,
    of: int,
    decimals: int,
    show: Callable[[float, int], str] = shown,
) -> str:
    """What stands beside a mean: its interval, and n where that is not all of so many trials."""
    if found.value is None:
        return ""
    n = "" if found.n == of else f"n = {found.n}"
    return ", ".join(filter(None, [interval(found, decimals, show), n]))


def p_value(p: float | None) -> str:
    """Two or three decimals, and more where those would round it onto 0.05."""
    if p is None:
        return NOTHING
    if p < 0.001:
        return "< 0.001"
    decimals = 3 if p < 0.1 else 2
    while round(p, decimals) == SIGNIFICANT != p:
        decimals += 1
    return shown(p, decimals)


def p_equation(p: float) -> str:
    """``p = 0.030``, or ``p < 0.001``."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def counted(share: Share) -> str:
    """``2 of 3``."""
    return f"{share.count} of {share.n}" if share.n else NOTHING


def percent(share: float) -> str:
    """``71 %``."""
    return f"{100 * share:.0f} %"


def chance(share: Share) -> str:
    """``9 to 99 %``: the interval of the chance behind a count; empty where it has none."""
    if not share.n or share.low is None or share.high is None:
        return ""
    return f"{100 * share.low:.0f} to {percent(share.high)}"


def capitalized(text: str) -> str:
    """With a capital at its start, unless it is a symbol's, as in ``k-NN``."""
    return text[:1].upper() + text[1:] if text[1:2].isalpha() else text


def _decimals_of(size: float) -> int:
    """That leave three digits."""
    return min(max(2 - math.floor(math.log10(size)), 0), 4) if size else 0
