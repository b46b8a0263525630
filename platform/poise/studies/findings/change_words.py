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
    names, replaced = named(study.space.parameters), _replaced(study, settings)
    meanings, phrases = _meanings(study, settings, replaced), []
    for key, before in replaced.items():
        test: Test = "state" if key in meanings else "is"
        value = settings[key]
        condition = Condition(key, test, meanings.get(key, value), (value,), (before,), "", ())
        phrases.append(condition_words(condition, names[key]))
    return listed(phrases)


def change_meaning(study: Study, settings: Settings) -> str:
    """Writes what the changes of a setting mean: ``without centering``.

    The text is empty if the study has no held baseline, or if some change has no words of its own.
    """
    if study.held_baseline is None:
        return ""
    replaced = _replaced(study, settings)
    meanings = _meanings(study, settings, replaced)
    known = replaced and all(key in meanings for key in replaced)
    return listed(meanings[key] for key in replaced) if known else ""


def _replaced(study: Study, settings: Settings) -> Settings:
    """Returns the baseline's value of each hyperparameter that a setting changes."""
    held = study.baseline
    return {key: held[key] for key, value in settings.items() if value != held[key]}


def _meanings(study: Study, settings: Settings, replaced: Settings) -> dict[str, str]:
    """Returns words for each changed hyperparameter whose words differ from the baseline's."""
    known = {key: value_of(study.recipe, key) for key in meaning_keys()} | settings
    before, after = states_of(known | replaced, replaced), states_of(known, replaced)
    return {key: words for key, words in after.items() if before.get(key) != words}
