"""Chooses some of a study's trials, by name or by their hyperparameters.

In: words such as ``t03-s1``, ``teacher_temp=0.04`` or ``seed=1``. Out: trials. Next:
``poise.sweeps.runner``, which runs only these trials now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from poise.config import PoiseError
from poise.config.errors import first_few
from poise.config.keys import nearest
from poise.config.loading import parse_overrides
from poise.config.values import canonical
from poise.config.wording import LONGEST_VALUE, listed, short_names, shown
from poise.studies.labels import plain
from poise.studies.study import Study
from poise.studies.trials import Trial


@dataclass(frozen=True)
class _Condition:
    """Condition on the value of a hyperparameter or on the seed: ``teacher_temp=0.04``."""

    word: str
    key: str
    value: Any

    def holds(self, value: Any) -> bool:
        """Returns True if a trial's value equals the value that the user typed.

        A number may have another form (``4e-2``), or six digits as in tables. A text that has
        quotes in the study's file may be typed without quotes.
        """
        text = self.word.partition("=")[2]
        return canonical(value) == canonical(self.value) or plain(value) == text


def choose_trials(study: Study, words: Sequence[str]) -> tuple[Trial, ...]:
    """Returns the trials that are named, or that meet all conditions, and that have not ended.

    Several conditions on one key are alternatives: ``seed=0 seed=1``.

    Args:
        study: study with the trials.
        words: names of trials, or ``KEY=VALUE`` with the whole key or its last part.

    Raises:
        PoiseError: no trial has such a name or such a value. The message lists the possible ones.
            It is also raised if all chosen trials have ended.
    """
    _check_may_choose(study, words[0])
    names = [word for word in words if "=" not in word]
    _check_names(study, names)
    conditions: dict[str, list[_Condition]] = {}
    for word in words:
        if "=" in word:
            condition = _condition(study, word)
            conditions.setdefault(condition.key, []).append(condition)
    chosen = [trial for trial in study.trials if trial.name in names or _meets(trial, conditions)]
    if not chosen:
        raise PoiseError(f"--only {' '.join(words)}: no trial meets all of these conditions")
    done = {record.trial.name for record in study.records() if record.is_done}
    if done.issuperset(trial.name for trial in chosen):
        names = [trial.name for trial in chosen]
        raise PoiseError(f"--only {' '.join(words)}: {first_few(names)} done already")
    return tuple(trial for trial in chosen if trial.name not in done)


def _check_may_choose(study: Study, word: str) -> None:
    if study.decides_as_it_goes:
        raise PoiseError(
            f"--only {word}: searcher {study.space.searcher.name} decides during the study which "
            "trials there are; leave --only out"
        )
    if study.space.scheduler.changes_settings:
        raise PoiseError(
            f"--only {word}: scheduler pbt trains all trials of a study at once; leave --only out"
        )


def _meets(trial: Trial, conditions: dict[str, list[_Condition]]) -> bool:
    facts = _facts(trial)
    return bool(conditions) and all(
        any(condition.holds(facts[key]) for condition in alternatives)
        for key, alternatives in conditions.items()
    )


def _facts(trial: Trial) -> dict[str, Any]:
    """Maps the names of a trial's hyperparameters, and ``seed``, to their values.

    Each hyperparameter has two names: its dotted key, and the last part of this key.
    """
    short = dict(zip(short_names(list(trial.settings)), trial.settings.values(), strict=True))
    return {**short, **trial.settings, "seed": trial.seed}


def _check_names(study: Study, names: Sequence[str]) -> None:
    known = [trial.name for trial in study.trials]
    for name in names:
        if name not in known:
            hint = nearest(name, known) or f"; there are {first_few(known)}"
            raise PoiseError(f"--only {name}: no trial has this name{hint}")


def _condition(study: Study, word: str) -> _Condition:
    """Makes a condition from a word, and checks that some trial meets it."""
    ((key, value),) = parse_overrides([word]).items()
    facts = [_facts(trial) for trial in study.trials]
    if key not in facts[0]:
        varied = [*short_names(list(study.space.parameters)), "seed"]
        hint = nearest(key, varied) or f"; what varies: {listed(varied)}"
        raise PoiseError(f"--only {word}: '{key}' does not vary from trial to trial{hint}")
    condition = _Condition(word, key, value)
    if not any(condition.holds(each[key]) for each in facts):
        values = list(dict.fromkeys(_written(each[key]) for each in facts))
        raise PoiseError(f"--only {word}: no trial has it; of {key} there are {first_few(values)}")
    return condition


def _written(value: Any) -> str:
    """Writes a value so that a user can type it after ``KEY=``."""
    return plain(value)[:LONGEST_VALUE] if isinstance(value, str | float) else shown(value)
