"""Explains in words what is wrong with an option.

In: pydantic's details of one error. Out: the second part of an error line, such as
``training.epochs='x' must be a whole number``. The first part is the origin of the option. Next:
``poise.config.loading``.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from poise.config.keys import field_names, nearest

LONGEST_VALUE = 60
"""Largest number of characters of a value that an error shows."""


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a group of options",
    "model": "a group of options",
    "model_attributes": "a group of options",
    "path": "a path",
}


_LIMITS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda limits: f"above {limits['gt']:.15g}",
    "greater_than_equal": lambda limits: f"at least {limits['ge']:.15g}",
    "less_than": lambda limits: f"below {limits['lt']:.15g}",
    "less_than_equal": lambda limits: f"at most {limits['le']:.15g}",
    "multiple_of": lambda limits: f"a multiple of {limits['multiple_of']}",
    "literal_error": lambda limits: str(limits["expected"]),
    "finite_number": lambda limits: "a finite number",
    "int_from_float": lambda limits: "a whole number",
    "too_short": lambda limits: f"at least {limits['min_length']} values",
    "too_long": lambda limits: f"at most {limits['max_length']} values",
    "string_pattern_mismatch": lambda limits: (
        "at most 100 letters, digits and '.', '_', '-', beginning with a letter or a digit"
    ),
    "missing": lambda limits: "a longer list",
}


def explain(
    model: type[BaseModel], key: str, details: Mapping[str, Any], chosen: Collection[str] = ()
) -> str:
    """Explains what is wrong with an option.

    The explanation names the allowed values, or the most similar name.

    Args:
        model: model that contains the option.
        key: dotted key of the option.
        details: details of pydantic's error.
        chosen: names of chosen alternatives, as in ``field_names``.
    """
    kind, wrong = details["type"], details["input"]
    if kind == "extra_forbidden":
        return f"no option is called '{key}'{nearest(key, list(field_names(model, chosen)))}"
    if kind == "missing":
        return _explain_missing(key, wrong)
    if kind == "union_tag_invalid":
        there_are = str(details["ctx"]["expected_tags"]).replace("'", "")
        return f"'{key}.name': there is no '{details['ctx']['tag']}'; there are {there_are}"
    if kind != "value_error":
        return f"{key}={shown(wrong)} must be {requirement(details)}"
    reason = str(details["msg"]).removeprefix("Value error, ")
    if isinstance(wrong, dict | BaseModel):
        return reason  # the reason itself names the key and the value
    return f"'{key}': {reason}, got {shown(wrong)}"


def requirement(details: Mapping[str, Any]) -> str:
    """Describes which values are valid, such as ``at least 1`` or ``a whole number``."""
    kind = str(details["type"])
    if kind in _LIMITS:
        return _LIMITS[kind](details.get("ctx", {}))
    for ending in ("_parsing", "_type", "_parsing_size"):
        if kind.removesuffix(ending) in _KINDS:
            return _KINDS[kind.removesuffix(ending)]
    return str(details["msg"]).removeprefix("Input should be ")


def shown(value: Any) -> str:
    """Writes a value as in YAML, with at most ``LONGEST_VALUE`` characters."""
    text = {None: "null", True: "true", False: "false"}[value] if _is_word(value) else repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _explain_missing(key: str, wrong: Any) -> str:
    group, _, last = key.rpartition(".")
    if last.isdecimal():  # place in a list that is too short
        return f"{group}={shown(list(wrong))} must be at least {int(last) + 1} values"
    return f"'{key}' is missing"


NAMES = {
    "eval/knn_top1": "k-NN",
    "eval/linear_top1": "linear probe",
    "eval/rankme": "RankMe",
    "features/rankme": "RankMe",
    "eval/lidar": "LiDAR",
    "features/lidar": "LiDAR",
    "teacher/mutual_information": "mutual information",
    "loss/total": "loss",
    "eval/dense_miou": "dense mIoU",
    "patches/outlier_share": "share of outlier patches",
    "throughput/s_per_step": "seconds per step",
    "throughput/backbone_gflops": "GFLOP per image",
}
"""Maps the logged name of a metric to its name in sentences."""


def short_names(keys: Sequence[str]) -> list[str]:
    """Returns the last part of each dotted key.

    If two keys have the same last part, their short names are the whole keys.
    """
    leaves = [key.rpartition(".")[2] for key in keys]
    return [
        leaf if leaves.count(leaf) == 1 else key for key, leaf in zip(keys, leaves, strict=True)
    ]


def named(keys: Iterable[str]) -> dict[str, str]:
    """Maps each dotted key to its short name."""
    keys = list(keys)
    return dict(zip(keys, short_names(keys), strict=True))


def listed(words: Iterable[str], last: str = "and") -> str:
    """Joins words: ``a, b and c``."""
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end


def metric_name(metric: str) -> str:
    """Returns the name of a metric in sentences, or its logged name if it has no other name."""
    return NAMES.get(metric, metric)


def in_percent(share: float, decimals: int = 1) -> str:
    """Writes a share from 0 to 1 as a percentage: ``12.3 %``."""
    return f"{100 * share:.{decimals}f} %"


def unit(metric: str) -> str:
    """Returns the text after a metric's values: a percent sign or nothing."""
    return " %" if metric.endswith(("_top1", "_top5", "_miou")) else ""


def metric_phrase(metric: str) -> str:
    """Returns a metric's name for use in a sentence, such as ``k-NN accuracy``."""
    name = metric_name(metric)
    return f"{name} accuracy" if metric in NAMES and metric.endswith("_top1") else name


def counted(number: int, one: str, many: str = "") -> str:
    """Returns a number with its noun, such as ``1 image`` or ``1,200 images``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def everyone(count: int, noun: str) -> str:
    """Begins a sentence about all of several things: ``both trials``, ``all 3 trials``."""
    if count == 1:
        return f"the only {noun}"
    return f"both {noun}s" if count == 2 else f"all {count} {noun}s"
