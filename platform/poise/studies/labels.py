"""Writes settings in words: their names, their values and their changes.

In: dotted keys and values, and a study. Out: labels of settings for tables, reports and the
terminal. Next: ``poise.studies.findings`` and ``poise.reports``.
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
"""Largest number of digits that a user types. A number with more digits was drawn at random."""

_DIGITS_OF_DRAWN = 6
"""Number of significant digits that are shown of drawn numbers. With 100 numbers from one range,
two of them look equal in 1 of 300 studies.
"""

_FEWEST_DIGITS = 2
"""Smallest number of digits for a threshold between two drawn numbers."""


def plain(value: Any) -> str:
    """Writes the value of a hyperparameter.

    A value that a user typed stays exact. A value that was drawn at random has six digits. For a
    drawn number near 1, six digits of its distance to 1 are kept. Momenta such as 0.9996 and 0.9998
    differ only there.
    """
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    if _is_drawn(value):
        distance = min(abs(value), abs(1 - value))
        value = round(value, _DIGITS_OF_DRAWN - 1 - math.floor(math.log10(distance)))
    return repr(value).removesuffix(".0")


def apart(below: float, above: float) -> tuple[str, str]:
    """Writes two neighbouring values with the fewest digits that keep them different.

    The lower value is rounded up and the higher value is rounded down. So "at most" and "at least"
    stay true for all trials. Values that a user typed stay exact.
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
    """Writes a setting with short names: ``center_momentum=0.9, teacher_temp=0.04``.

    Hyperparameters with their baseline value are left out.
    """
    names = named(settings)
    changed = [k for k, value in settings.items() if k not in baseline or value != baseline[k]]
    return ", ".join(f"{names[key]}={plain(settings[key])}" for key in changed)


def setting_name(setting: int) -> str:
    """Makes the short name of a setting, such as ``t03``. The names of its trials begin with it."""
    return f"t{setting + 1:02d}"


UNCHANGED = "the baseline"
"""Label of the setting without changes, if a study changes one hyperparameter at a time."""


def setting_label(study: Study, settings: Mapping[str, Any]) -> str:
    """Writes the values of a setting as a label.

    If a study changes one hyperparameter at a time, the label contains only the changes.
    """
    return describe(settings, study.held_baseline or {}) or UNCHANGED


def described(changes: Iterable[Change]) -> str:
    """Writes how a trial's hyperparameters changed during training, the oldest change first."""
    return "; ".join(
        f"from step {change.step} of {change.donor} on: "
        + ", ".join(f"{key}={value}" for key, value in change.settings.items())
        for change in changes
    )


def _is_drawn(value: Any) -> bool:
    if not isinstance(value, float) or not math.isfinite(value):
        return False
    return len(Decimal(repr(value)).normalize().as_tuple().digits) > _MOST_WRITTEN
