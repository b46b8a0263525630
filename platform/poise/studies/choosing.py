"""Some of a study's trials, by name or by what they have.

In: words such as ``t03-s1``, ``teacher_temp=0.04`` or ``seed=1``. Out: trials. Next:
``poise.sweeps.runner``, which runs these now and leaves the others waiting.
"""

from collections.abc import Sequence
from typing import Any

from poise.config import PoiseError
from poise.config.keys import nearest
from poise.config.loading import parse_overrides
from poise.config.wording import listed, short_names
from poise.studies.study import Study
from poise.studies.trials import Trial

_NAMES_TOLD = 12


def choose_trials(study: Study, words: Sequence[str]) -> tuple[Trial, ...]:
    """The trials that are named, and those that meet every condition, without those that are done.

    Conditions on one key are alternatives: ``seed=0 seed=1``.

    Args:
        study: whose trials they are.
        words: names, or ``KEY=VALUE`` with the whole key or its last part.

    Raises:
        PoiseError: no trial is called so, or has this; the message lists what there is. Or all
            of them are done.
    """
    if study.decides_as_it_goes:
        raise PoiseError(
            f"--only {words[0]}: searcher {study.space.searcher.name} decides as it goes which "
            "trials there are; leave --only out"
        )
    if study.space.scheduler.changes_settings:
        raise PoiseError(
            f"--only {words[0]}: scheduler pbt trains all trials of a study at once; leave --only "
            "out"
        )
    names = [word for word in words if "=" not in word]
    _check_names(study, names)
    conditions: dict[str, list[Any]] = {}
    for word in words:
        if "=" in word:
            ((key, value),) = parse_overrides([word]).items()
            conditions.setdefault(key, []).append(value)
            _check_condition(study, word, key, value)
    chosen = [trial for trial in study.trials if trial.name in names or _meets(trial, conditions)]
    if not chosen:
        raise PoiseError(f"--only {' '.join(words)}: no trial has all of this at once")
    done = {record.trial.name for record in study.records() if record.is_done}
    if done.issuperset(trial.name for trial in chosen):
        names = [trial.name for trial in chosen]
        raise PoiseError(f"--only {' '.join(words)}: {_told(names)} done already")
    return tuple(trial for trial in chosen if trial.name not in done)


def _meets(trial: Trial, conditions: dict[str, list[Any]]) -> bool:
    facts = _facts(trial)
    return bool(conditions) and all(facts[key] in values for key, values in conditions.items())


def _facts(trial: Trial) -> dict[str, Any]:
    """What a trial has, under whole keys and under their last parts."""
    short = dict(zip(short_names(list(trial.settings)), trial.settings.values(), strict=True))
    return {**trial.settings, **short, "seed": trial.seed}


def _check_names(study: Study, names: Sequence[str]) -> None:
    known = [trial.name for trial in study.trials]
    for name in names:
        if name not in known:
            raise PoiseError(f"--only {name}: there is no such trial; there are {_told(known)}")


def _told(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
    return f"{', '.join(names[:_NAMES_TOLD])}{more}"


def _check_condition(study: Study, word: str, key: str, value: Any) -> None:
    facts = [_facts(trial) for trial in study.trials]
    if key not in facts[0]:
        varied = [*short_names(list(study.space.parameters)), "seed"]
        hint = nearest(key, varied) or f"; what varies: {listed(varied)}"
        raise PoiseError(f"--only {word}: no trial has a '{key}' of its own{hint}")
    values = list(dict.fromkeys(str(each[key]) for each in facts))
    if all(each[key] != value for each in facts):
        raise PoiseError(f"--only {word}: no trial has it; of {key} there are {_told(values)}")
