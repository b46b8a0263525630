"""Chooses some of a study's trials, by name or by their settings.

In: words such as ``t03-s1``, ``teacher_temp=0.04`` or ``seed=1``. Out: trials. Next:
``poise.sweeps.runner``, which runs these trials now and leaves the others for later.
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
    """Value that a trial must have: ``teacher_temp=0.04``."""

    word: str
    key: str
    value: Any

    def holds(self, value: Any) -> bool:
        """Returns True if a trial's value equals the written value, in any spelling.

        A number may be written in another form (``4e-2``), or as in tables, with six digits. If the
        space has a text in quotes, the quotes may be left out.
        """
        text = self.word.partition("=")[2]
        return canonical(value) == canonical(self.value) or plain(value) == text


def choose_trials(study: Study, words: Sequence[str]) -> tuple[Trial, ...]:
    """Returns the named trials and those that meet every condition, without those that are done.

    Several conditions on one key are alternatives: ``seed=0 seed=1``.

    Args:
        study: study whose trials are chosen.
        words: names, or ``KEY=VALUE`` with the whole key or its last part.

    Raises:
        PoiseError: no trial has such a name or such a value, and the message lists the possible
            ones; or all chosen trials are done.
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
    """Returns a trial's settings and seed, with whole keys and with their last parts."""
    short = dict(zip(short_names(list(trial.settings)), trial.settings.values(), strict=True))
    return {**short, **trial.settings, "seed": trial.seed}


def _check_names(study: Study, names: Sequence[str]) -> None:
    known = [trial.name for trial in study.trials]
    for name in names:
        if name not in known:
            hint = nearest(name, known) or f"; there are {first_few(known)}"
            raise PoiseError(f"--only {name}: no trial has this name{hint}")


def _condition(study: Study, word: str) -> _Condition:
    """Makes the condition of a word, and checks it against the trials."""
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
    """Writes a value as it can be typed after ``KEY=``."""
    return plain(value)[:LONGEST_VALUE] if isinstance(value, str | float) else shown(value)
