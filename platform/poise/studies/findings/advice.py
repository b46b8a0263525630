"""Collects the advice from the verdicts of a study, and the trials that each advice is for.

In: the records of a study and the comparison of its settings. Out: ``Advice``. Next:
``poise.studies.findings.findings``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poise.studies.findings.table import Comparison
from poise.studies.labels import describe
from poise.studies.records import TrialRecord

_MOST_VALUES = 3
"""Largest number of the baseline's values that an advice names."""


@dataclass(frozen=True)
class Advice:
    """Advice from verdicts, and the settings and trials for which it was given."""

    text: str
    settings: tuple[str, ...]
    """Labels of the settings of which all judged trials got this advice. A label contains the
    setting's values if they are short, otherwise its name.
    """

    trials: tuple[str, ...] = ()
    """Names of trials that got this advice, although other trials of their setting did not."""


def collect_advice(
    records: Sequence[TrialRecord], comparison: Comparison, called: Mapping[int, str]
) -> tuple[Advice, ...]:
    """Collects each advice once, with the settings and trials that it is for.

    If the baseline is healthy, an advice for failed trials also names the values that differ there.

    Args:
        records: records of the study's trials.
        comparison: comparison of the settings of the study.
        called: label of each setting, by its number.
    """
    judged: dict[int, int] = {}
    given: dict[str, list[TrialRecord]] = {}
    for record in records:
        if record.verdict is not None:
            judged[record.trial.setting] = judged.get(record.trial.setting, 0) + 1
            if record.verdict.advice:
                given.setdefault(record.verdict.advice, []).append(record)
    return tuple(
        _addressed(text, who, judged, called, _of_baseline(who, comparison))
        for text, who in given.items()
    )


def _addressed(
    text: str,
    who: Sequence[TrialRecord],
    judged: Mapping[int, int],
    called: Mapping[int, str],
    of_baseline: str,
) -> Advice:
    numbers = [record.trial.setting for record in who]
    whole = {number for number in numbers if numbers.count(number) == judged[number]}
    return Advice(
        f"{text}{of_baseline}",
        tuple(dict.fromkeys(called[number] for number in numbers if number in whole)),
        tuple(record.trial.name for record in who if record.trial.setting not in whole),
    )


def _of_baseline(who: Sequence[TrialRecord], comparison: Comparison) -> str:
    """Writes the values of a healthy baseline that failed trials do not have, if they are few."""
    baseline = comparison.baseline
    failed = all(record.verdict is not None and record.verdict.condemned for record in who)
    if baseline is None or not baseline.is_healthy or not failed:
        return ""
    other = {
        key: value
        for key, value in baseline.settings.items()
        if any(record.trial.settings.get(key) != value for record in who)
    }
    if not 0 < len(other) <= _MOST_VALUES:
        return ""
    return f" The healthy baseline uses {describe(other)}."
