"""Numbers with as many digits as they deserve.

In: figures and how sure they are. Out: text. Next: the page's tables and charts.
"""

import math
from collections.abc import Iterable

from poise.sweeps.estimates import Difference, Estimate, Share

NOTHING = "–"
_MINUS = "\N{MINUS SIGN}"


def shown(value: float | None, decimals: int | None = None) -> str:
    """A number for a person: three digits, or so many decimals; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if decimals is None:
        decimals = _decimals_of(abs(value))
    text = f"{value:,.{decimals}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return text.replace("-", _MINUS) if float(f"{value:.{decimals}f}") else text.lstrip("-")


def signed(value: float | None, decimals: int | None = None) -> str:
    """As ``shown``, with its sign."""
    text = shown(value, decimals)
    return f"+{text}" if value is not None and value > 0 and text != NOTHING else text


def interval(found: Estimate | Difference, decimals: int | None = None) -> str:
    """``29.8 to 32.8``, as precise as the value itself; empty where it cannot be known."""
    if found.value is None or found.low is None or found.high is None:
        return ""
    decimals = _decimals_of(abs(found.value)) if decimals is None else decimals
    return f"{shown(found.low, decimals)} to {shown(found.high, decimals)}"


def common_decimals(found: Iterable[Estimate]) -> int:
    """For a column of figures: those that leave the largest three digits."""
    return _decimals_of(
        max((abs(each.value) for each in found if each.value is not None), default=0)
    )


def capitalized(text: str) -> str:
    """With a capital at its start, unless it is a symbol's, as in ``k-NN``."""
    return text[:1].upper() + text[1:] if text[1:2].isalpha() else text


def p_value(p: float | None) -> str:
    """Two digits, or that it is under a thousandth."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else shown(p, 3 if p < 0.1 else 2)


def counted(share: Share) -> str:
    """``2 of 3``."""
    return f"{share.count} of {share.n}" if share.n else NOTHING


def chance(share: Share) -> str:
    """``9 to 99 %``: the interval of the chance behind a count."""
    return f"{share.low * 100:.0f} to {share.high * 100:.0f} %" if share.n else ""


def _decimals_of(size: float) -> int:
    """That leave three digits."""
    return min(max(2 - math.floor(math.log10(size)), 0), 4) if size else 0
