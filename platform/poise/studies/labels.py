"""Settings and figures in words.

In: dotted keys, values and metrics; a study, whose design says what of a setting is worth naming.
Out: what tables, reports and the terminal call them. Next: those.
"""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from poise.config.wording import named
from poise.studies.records import Change
from poise.studies.study import Study

_MOST_WRITTEN = 10
"""Digits that a person writes; a number with more was drawn."""


_DIGITS_OF_DRAWN = 6
"""That tell draws apart: of 100 from one range, two look alike in about one study of 300."""


def plain(value: Any) -> str:
    """A setting's value for a person: exact as a person wrote it, with six digits where drawn.

    Near 1 those are six digits of what lacks to it: momenta differ in nothing else.
    """
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    if len(Decimal(repr(value)).normalize().as_tuple().digits) > _MOST_WRITTEN:
        distance = min(abs(value), abs(1 - value))
        value = round(value, _DIGITS_OF_DRAWN - 1 - math.floor(math.log10(distance)))
    return repr(value).removesuffix(".0")


def describe(settings: Mapping[str, Any], held: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Settings under their short names: ``center_momentum=0.9, teacher_temp=0.04``.

    Those are left out that are as they are ``held``.
    """
    names = named(settings)
    changed = [key for key, value in settings.items() if key not in held or value != held[key]]
    return ", ".join(f"{names[key]}={plain(settings[key])}" for key in changed)


UNCHANGED = "the baseline"
"""What a study that changes one setting at a time calls the one that changes nothing."""


def setting_label(study: Study, settings: Mapping[str, Any]) -> str:
    """A setting in words: its values, or only what it changes where that is one thing."""
    return describe(settings, study.held_baseline or {}) or UNCHANGED


def described(changes: Iterable[Change]) -> str:
    """A trial's changes for a person, oldest first."""
    return "; ".join(
        f"from step {change.step} of {change.donor} on: "
        + ", ".join(f"{key}={value}" for key, value in change.settings.items())
        for change in changes
    )
