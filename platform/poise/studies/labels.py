"""Writes settings in words: their names, their values, their changes.

In: dotted keys and values, and a study, whose design decides which settings are named. Out: names
of settings for tables, reports and the terminal. Next: all of these.
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
"""Largest number of digits that a user writes. A number with more digits was drawn at random."""

_DIGITS_OF_DRAWN = 6
"""Digits that distinguish drawn numbers. Of 100 numbers from one range, two agree in 1 of 300
studies.
"""

_FEWEST_DIGITS = 2
"""Smallest number of digits for a threshold between drawn numbers."""


def plain(value: Any) -> str:
    """Writes a setting's value: exactly if a user wrote it, with six digits if it was drawn.

    A drawn number near 1 keeps six digits of its distance to 1, because momenta differ in these
    digits.
    """
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    if _is_drawn(value):
        distance = min(abs(value), abs(1 - value))
        value = round(value, _DIGITS_OF_DRAWN - 1 - math.floor(math.log10(distance)))
    return repr(value).removesuffix(".0")


def apart(below: float, above: float) -> tuple[str, str]:
    """Writes two neighbouring values with the fewest digits that keep them different.

    The lower value is rounded up and the higher value down, so "at most" and "at least" stay true.
    Values that a user wrote stay exact.
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
    """Writes settings with their short names: ``center_momentum=0.9, teacher_temp=0.04``.

    Settings with the baseline's value are left out.
    """
    names = named(settings)
    changed = [k for k, value in settings.items() if k not in baseline or value != baseline[k]]
    return ", ".join(f"{names[key]}={plain(settings[key])}" for key in changed)


def setting_name(setting: int) -> str:
    """Makes the short name of a setting, ``t03``. The names of its trials begin with it."""
    return f"t{setting + 1:02d}"


UNCHANGED = "the baseline"
"""Label of the setting that changes nothing, in a study that changes one setting at a time."""


def setting_label(study: Study, settings: Mapping[str, Any]) -> str:
    """Writes a setting's values.

    If a study changes one setting at a time, only the changes are written.
    """
    return describe(settings, study.held_baseline or {}) or UNCHANGED


def described(changes: Iterable[Change]) -> str:
    """Writes a trial's changes during training, the oldest first."""
    return "; ".join(
        f"from step {change.step} of {change.donor} on: "
        + ", ".join(f"{key}={value}" for key, value in change.settings.items())
        for change in changes
    )


def _is_drawn(value: Any) -> bool:
    if not isinstance(value, float) or not math.isfinite(value):
        return False
    return len(Decimal(repr(value)).normalize().as_tuple().digits) > _MOST_WRITTEN
