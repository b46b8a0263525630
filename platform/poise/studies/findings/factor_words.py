"""Phrases for the values of known hyperparameters, such as "without centering".

In: a hyperparameter's key and value, a condition on a hyperparameter, or a kind of verdict. Out:
phrases for sentences. Next: ``poise.studies.findings.explanation`` and
``poise.studies.findings.answer``.

Sources: DINO (arXiv 2104.14294, section 5.3) for centering and sharpening. Registers (arXiv
2309.16588).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from poise.config.wording import listed
from poise.diagnostics.judge import VerdictKind
from poise.studies.analysis.conditions import Condition
from poise.studies.labels import apart, plain

_MOST_VALUES = 3
"""Largest number of values that a phrase lists. Of more values, only the smallest and largest are
named.
"""


class _Meaning(NamedTuple):
    """Phrase that says what a hyperparameter's value means.

    It may depend on other hyperparameters.
    """

    keys: tuple[str, ...]
    """Dotted key of the hyperparameter, then the keys that its meaning depends on."""

    words: Callable[..., str]
    """Function that takes the values of ``keys`` and returns the phrase."""


def _momentum_words(first: float, last: float) -> str:
    """Returns words for a teacher's momentum at the start and at the end of training.

    Every teacher starts with the weights of its student. With a momentum of 0, it copies them again
    after every step.
    """
    if first == 0:
        when = "after every step" if last == 0 else "after every step at the start of training"
        return f"with a teacher that copies its student {when}"
    if first == last == 1:
        return "with a teacher that never moves"
    return "with a teacher that is a moving average of its student"


_MEANINGS = (
    _Meaning(
        ("objective.center_momentum",),
        lambda momentum: "without centering" if momentum >= 1 else "with centering",
    ),
    _Meaning(
        ("objective.teacher_temp", "objective.student_temp"),
        lambda teacher, student: (
            "without sharpening" if teacher >= student else "with sharpening"
        ),
    ),
    _Meaning(
        ("objective.teacher_momentum", "objective.final_teacher_momentum"), _momentum_words
    ),
    _Meaning(
        ("objective.freeze_last_layer_epochs",),
        lambda epochs: "with the last layer frozen at first" if epochs else (
            "without freezing the last layer"
        ),
    ),
    _Meaning(
        ("backbone.num_registers",),
        lambda count: "with registers" if count else "without registers",
    ),
    _Meaning(
        ("data.views.local_count",),
        lambda count: "with local views" if count else "without local views",
    ),
)  # fmt: skip

_FAILURES: dict[str, str] = {
    VerdictKind.UNIFORM: "collapsed to a uniform teacher",
    VerdictKind.SINGLE_PROTOTYPE: "collapsed to a single prototype",
    VerdictKind.PARTIAL_PROTOTYPES: "collapsed to a few prototypes",
    VerdictKind.DIMENSIONAL: "collapsed to a few dimensions",
    VerdictKind.PREDICTS_MEAN: "collapsed to predicting the mean patch",
    VerdictKind.STUCK: "got stuck at ln K",
    VerdictKind.AT_LN_K: "had a loss that stayed at ln K",
    VerdictKind.NEAR_ZERO: "had a loss that fell to 0",
    VerdictKind.SWINGING: "had a loss that swung above ln K",
    VerdictKind.UNMOVED_TEACHER: "had a teacher that never changed",
    VerdictKind.COPIED_TEACHER: "had a teacher equal to the student",
    VerdictKind.FORGETTING: "forgot what the initial weights had learned",
    VerdictKind.DIVERGED: "diverged",
}


def states_of(values: Mapping[str, Any], varied: Iterable[str]) -> dict[str, str]:
    """Returns words for the value of each varied hyperparameter with a known meaning.

    Args:
        values: values by dotted key, including hyperparameters that do not vary.
        varied: dotted keys of the hyperparameters that vary.
    """
    varied = set(varied)
    found = {}
    for keys, words in _MEANINGS:
        own = next((key for key in keys if key in varied), None)
        if own is not None and all(_is_number(values.get(key)) for key in keys):
            found[own] = words(*(values[key] for key in keys))
    return found


def meaning_keys() -> tuple[str, ...]:
    """Returns the dotted keys of all hyperparameters that a meaning depends on."""
    return tuple(key for meaning in _MEANINGS for key in meaning.keys)


def failure(kind: str) -> str:
    """Returns a verb for a kind of verdict: ``collapsed to a single prototype``."""
    return _FAILURES.get(kind, f"ended as “{kind}”")


def condition_words(condition: Condition, name: str) -> str:
    """Writes a condition as a phrase after "trials": ``without centering (center_momentum = 1)``.

    Args:
        condition: condition on one hyperparameter.
        name: short name of the hyperparameter.
    """
    if condition.test == "state":
        return f"{condition.value} ({name} {_equals(condition.values)})"
    if condition.test == "at least":
        return f"with {name} ≥ {apart(condition.others[-1], condition.value)[1]}"
    if condition.test == "at most":
        return f"with {name} ≤ {apart(condition.value, condition.others[0])[0]}"
    if condition.test == "is not":
        return f"with {name} other than {plain(condition.value)}"
    return f"with {name} = {plain(condition.value)}"


def opposite_words(condition: Condition, name: str) -> str:
    """Writes what is true for all trials that do not meet a condition: ``with centering``.

    It returns an empty text if this needs more than one statement.
    """
    if condition.test == "state":
        return condition.opposite
    if condition.test == "at least":
        return f"with {name} ≤ {apart(condition.others[-1], condition.value)[0]}"
    if condition.test == "at most":
        return f"with {name} ≥ {apart(condition.value, condition.others[0])[1]}"
    if len(condition.others) > _MOST_VALUES:
        return f"with another {name}"
    return f"with {name} {_equals(condition.others)}"


def _equals(values: tuple[Any, ...]) -> str:
    if len(values) <= _MOST_VALUES:
        return f"= {listed(map(plain, values), 'or')}"
    return f"from {plain(values[0])} to {plain(values[-1])}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
