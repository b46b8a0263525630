"""Settings in words.

In: dotted keys and values. Out: what tables, reports and the terminal call them. Next: those.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def short_names(keys: Sequence[str]) -> list[str]:
    """The last part of each dotted key, or all of it where two would be alike."""
    leaves = [key.rpartition(".")[2] for key in keys]
    return [
        leaf if leaves.count(leaf) == 1 else key for key, leaf in zip(keys, leaves, strict=True)
    ]


def plain(value: Any) -> str:
    """A setting's value for a person."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def describe(settings: Mapping[str, Any]) -> str:
    """Settings under their short names: ``center_momentum=0.9, teacher_temp=0.04``."""
    names = short_names(list(settings))
    pairs = zip(names, settings.values(), strict=True)
    return ", ".join(f"{name}={plain(value)}" for name, value in pairs)


def listed(words: Iterable[str], last: str = "and") -> str:
    """``a, b and c``."""
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end
