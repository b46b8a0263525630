"""Writes in words what a setting changes in the baseline.

In: a study and a setting. Out: phrases such as ``without centering (center_momentum = 1)``. Next:
``poise.studies.findings.comparison`` and ``poise.studies.findings.answer``.
"""

from poise.config.wording import listed, named
from poise.studies.analysis.conditions import Condition, Test
from poise.studies.findings.factor_words import condition_words, meaning_keys, states_of
from poise.studies.study import Study
from poise.studies.trials import Settings, value_of


def change_words(study: Study, settings: Settings) -> str:
    """Writes the changes of a setting: ``without centering (center_momentum = 1)``."""
    names, held = named(study.space.parameters), study.baseline
    meanings, phrases = _meanings(study, settings), []
    for key, value in settings.items():
        if value == held[key]:
            continue
        test: Test = "state" if key in meanings else "is"
        condition = Condition(key, test, meanings.get(key, value), (value,), (held[key],), "", ())
        phrases.append(condition_words(condition, names[key]))
    return listed(phrases)


def change_meaning(study: Study, settings: Settings) -> str:
    """Writes what the changes of a setting mean: ``without centering``.

    The text is empty if the study has no held baseline, or if some change has no words of its own.
    """
    held = study.held_baseline
    if held is None:
        return ""
    changed = [key for key, value in settings.items() if value != held[key]]
    meanings = _meanings(study, settings)
    known = changed and all(key in meanings for key in changed)
    return listed(meanings[key] for key in changed) if known else ""


def _meanings(study: Study, settings: Settings) -> dict[str, str]:
    """Returns words for each changed hyperparameter whose words differ from the baseline's."""
    held = study.baseline
    changed = [key for key, value in settings.items() if value != held[key]]
    known = {key: value_of(study.recipe, key) for key in meaning_keys()}
    before, after = states_of({**known, **held}, changed), states_of({**known, **settings}, changed)
    return {key: words for key, words in after.items() if before.get(key) != words}
