"""Compares the values of settings by their meaning.

In: two or more values of settings. Out: whether the values are the same. Next:
``poise.config.samplers`` and ``poise.studies.trial_filter``.
"""

from collections.abc import Hashable
from typing import Any

import yaml

from poise.config.yaml_core import parse_yaml


def same(left: Any, right: Any) -> bool:
    """Returns True if two values are equal and of the same kind.

    1 equals 1.0, but it equals neither true nor the text ``"1"``.
    """
    return _form(left, reads_text=False) == _form(right, reads_text=False)


def canonical(value: Any) -> Hashable:
    """Returns an equal result for all spellings of a value: 0.04, 4e-2 and the text ``"0.040"``."""
    return _form(value, reads_text=True)


def _form(value: Any, reads_text: bool) -> Hashable:
    if isinstance(value, list | tuple):
        return tuple(_form(each, reads_text) for each in value)
    if isinstance(value, dict):
        return frozenset((key, _form(each, reads_text)) for key, each in value.items())
    if isinstance(value, str):
        meant = _meant(value) if reads_text else value
        return ("text", meant) if isinstance(meant, str) else _form(meant, reads_text)
    return ("word", value) if value is None or isinstance(value, bool) else ("number", value)


def _meant(text: str) -> Any:
    """Returns what YAML reads from a text: a number, a boolean, null or the text itself."""
    try:
        meant = parse_yaml(text) if text.strip() else text
    except yaml.YAMLError:
        return text
    return text if isinstance(meant, list | dict | str) else meant
