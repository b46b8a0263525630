"""Settings in words: their names, their values, their changes.

In: dotted keys and values, and a study, whose design decides what is worth naming. Out: what
tables, reports and the terminal call a setting. Next: all of these.
"""

import math
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from types import MappingProxyType
from typing import Any

from poise.config.wording import named
from poise.studies.records import Change
from poise.studies.study import Study

_MOST_WRITTEN = 10
"""Digits that a person writes; a number with more was drawn at random."""

_DIGITS_OF_DRAWN = 6
"""Digits that tell drawn numbers apart: of 100 from one range, two agree in 1 of 300 studies."""

_FEWEST_DIGITS = 2
"""Digits of a threshold between drawn numbers, where so few tell its two sides apart."""


def plain(value: Any) -> str:
    """A setting's value for a person: exact where a person wrote it, six digits where drawn.

    A drawn number near 1 keeps six digits of its distance to 1, because momenta differ in that.
    """
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    if _is_drawn(value):
        distance = min(abs(value), abs(1 - value))
        value = round(value, _DIGITS_OF_DRAWN - 1 - math.floor(math.log10(distance)))
    return repr(value).removesuffix(".0")


def apart(below: float, above: float) -> tuple[str, str]:
    """Two neighbouring values with the fewest digits that keep them apart.

    The lower one is rounded up and the higher one down, so "at most" and "at least" stay true.
    Values that a person wrote stay exact.
    """
    if not (_is_drawn(below) or _is_drawn(above)):
        return plain(below), plain(above)
    size = math.floor(math.log10(max(abs(below), abs(above))))
    for digits in range(_FEWEST_DIGITS, _DIGITS_OF_DRAWN + 6):
        step = Decimal(1).scaleb(size - digits + 1)
        low = Decimal(repr(below)).quantize(step, ROUND_CEILING)
        high = Decimal(repr(above)).quantize(step, ROUND_FLOOR)
        if low < high:
            return plain(float(low)), plain(float(high))
    return plain(below), plain(above)


def describe(
    settings: Mapping[str, Any], baseline: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Settings under their short names: ``center_momentum=0.9, teacher_temp=0.04``.

    Settings that have the baseline's value are left out.
    """
    names = named(settings)
    changed = [k for k, value in settings.items() if k not in baseline or value != baseline[k]]
    return ", ".join(f"{names[key]}={plain(settings[key])}" for key in changed)


def setting_name(setting: int) -> str:
    """The short name of a setting, ``t03``, with which the names of its trials begin."""
    return f"t{setting + 1:02d}"


UNCHANGED = "the baseline"
"""The label of the setting that changes nothing, in a study that changes one at a time."""


def setting_label(study: Study, settings: Mapping[str, Any]) -> str:
    """A setting's values; in a study that changes one setting at a time, only what it changes."""
    return describe(settings, study.held_baseline or {}) or UNCHANGED


def described(changes: Iterable[Change]) -> str:
    """A trial's changes on the way, the oldest first."""
    return "; ".join(
        f"from step {change.step} of {change.donor} on: "
        + ", ".join(f"{key}={value}" for key, value in change.settings.items())
        for change in changes
    )


def _is_drawn(value: Any) -> bool:
    if not isinstance(value, float) or not math.isfinite(value):
        return False
    return len(Decimal(repr(value)).normalize().as_tuple().digits) > _MOST_WRITTEN
