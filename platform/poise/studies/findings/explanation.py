"""Writes sentences about the setting that explains the failures of a study.

In: a study and its judged trials. Out: sentences that name the explaining setting first. They claim
no more than the counts show. Next: ``poise.studies.findings.answer``.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from poise.config.wording import listed, named
from poise.studies.analysis.conditions import Condition, Test, Unit
from poise.studies.analysis.explaining_rule import FEWEST_MENDED, Rule, separate
from poise.studies.analysis.levels import varied_keys
from poise.studies.findings.comparison import why_untested
from poise.studies.findings.factor_words import (
    condition_words,
    failure,
    meaning_keys,
    opposite_words,
    states_of,
)
from poise.studies.number_format import percent
from poise.studies.outcomes import condemned_as, is_condemned
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.trials import Settings, value_of

SURELY = 0.05
"""A rule is more than chance if random outcomes give such a rule less often than this."""

_ALMOST_ALWAYS = 0.9

_MOST_RIVALS = 2
"""Largest number of other settings that one sentence names."""

_MOST_KINDS = 3
"""Largest number of failures of different kinds that one sentence names."""


def explain(study: Study, judged: Sequence[TrialRecord], trial: str) -> tuple[str, ...]:
    """Writes sentences about the rule over settings that separates failed from healthy trials.

    Args:
        study: study that draws or crosses its settings.
        judged: its judged trials; some failed and some stayed healthy.
        trial: word for one of them: ``trial`` or ``judged trial``.
    """
    failed = [record for record in judged if is_condemned(record)]
    did = verb(failed)
    if any(record.changes for record in judged):
        reason = "Trials exchanged settings during training, so no single setting explains this."
        return (f"{len(failed)} of {len(judged)} {trial}s {did}.", reason, *kinds(study, failed))
    units = _units(study, judged, is_condemned)
    fewest = 1 if _counts_trials(study) else FEWEST_MENDED  # whole cells of a grid are no luck
    rule = separate(units, not why_untested(study), fewest)
    if rule is None:
        nothing = (
            "No simple rule on one or two settings separates them from the healthy trials."
            if varied_keys(study.space, judged)
            else "Only the seed differed between them."
        )
        return (f"{len(failed)} of {len(judged)} {trial}s {did}.", nothing, *kinds(study, failed))
    names = named(study.space.parameters)
    return (
        *_rule(rule, names, trial, did),
        *kinds(study, failed),
        *_rivals(rule, names),
        *_chance(rule, "trials" if _counts_trials(study) else "settings", len(units)),
    )


def verb(failed: Sequence[TrialRecord]) -> str:
    """Says what all these trials did: ``collapsed to a single prototype``, ``failed to learn``."""
    kinds_seen = {str(record.verdict.kind) for record in failed if record.verdict}
    if len(kinds_seen) == 1:
        return failure(*kinds_seen)
    return condemned_as(failed)


def kinds(study: Study, failed: Sequence[TrialRecord]) -> tuple[str, ...]:
    """Says how trials failed, if they failed in several ways."""
    counts = Counter(str(record.verdict.kind) for record in failed if record.verdict)
    if len(counts) < 2:
        return ()
    if len(counts) == 2 and study.held_baseline is None:
        told = _kinds_by_rule(study, failed, *counts)
        if told:
            return told
    ways = [f"{count} {failure(kind)}" for kind, count in counts.most_common(_MOST_KINDS)]
    rest = len(failed) - sum(count for _, count in counts.most_common(_MOST_KINDS))
    return (f"In detail, {listed([*ways, *([f'{rest} in other ways'] if rest else [])])}.",)


def _kinds_by_rule(
    study: Study, failed: Sequence[TrialRecord], first: str, second: str
) -> tuple[str, ...]:
    """Says which setting decided between two kinds of failure, if this is more than chance."""
    told = []
    for one, other in ((first, second), (second, first)):
        rule = separate(_units(study, failed, partial(_ended_as, one)), not why_untested(study))
        if rule is None or rule.exceptions or rule.joined or rule.by_chance is None:
            return ()
        if rule.by_chance >= SURELY:
            return ()
        words = _words(rule.conditions, named(study.space.parameters), "")
        inside, outside = rule.judged_inside, rule.judged_outside
        told.append(
            (
                f"Those {words} {failure(one)}: {inside} of {inside}.",
                f"The others {failure(other)}: {outside} of {outside}.",
            )
        )
    return min(told, key=lambda sentences: not sentences[0].startswith("Those without"))


def _ended_as(kind: str, record: TrialRecord) -> bool:
    return record.verdict is not None and record.verdict.kind == kind


def _rule(rule: Rule, names: dict[str, str], trial: str, did: str) -> tuple[str, ...]:
    words, opposite = _words(rule.conditions, names, rule.joined), _opposite(rule, names)
    inside = f"{rule.failed_inside} of {rule.judged_inside}"
    outside = f"{rule.failed_outside} of {rule.judged_outside}"
    if rule.exceptions == 0:
        other = f"{trial} {opposite}" if opposite else f"other {trial}"
        return (f"Every {trial} {words} {did}: {inside}.", f"No {other} did: {outside}.")
    settings = dict.fromkeys(names[each.key] for each in rule.conditions)
    explain = "explains" if len(settings) == 1 else "together explain"
    return (
        f"{listed(settings)} {explain} the outcome best.",
        f"{inside} {trial}s {words} {did}, and {outside} {opposite or 'others'}.",
        f"This rule is wrong about {_counted(rule.exceptions, trial)}.",
    )


def _words(conditions: Sequence[Condition], names: dict[str, str], joined: str) -> str:
    return f" {joined} ".join(condition_words(each, names[each.key]) for each in conditions)


def _opposite(rule: Rule, names: dict[str, str]) -> str:
    """Says what is true for every trial outside the rule.

    It is empty if this is not a single statement.
    """
    if rule.joined == "and":
        return ""
    each = [opposite_words(condition, names[condition.key]) for condition in rule.conditions]
    if not all(each):
        return ""
    if all(words.startswith("with ") for words in each):
        each[1:] = [words.removeprefix("with ") for words in each[1:]]
    return " and ".join(each)


def _rivals(rule: Rule, names: dict[str, str]) -> tuple[str, ...]:
    """Names other rules that the study cannot distinguish from this one."""
    if rule.num_rival_pairs:
        others = _counted(rule.num_rival_pairs, "other pair")
        return (f"{others} of settings would explain the outcome as well.",)
    if not rule.rivals:
        return ()
    shown = rule.rivals[:_MOST_RIVALS]
    if rule.exceptions:
        return (f"A rule on {listed((names[c.key] for c in shown), 'or')} would be as good.",)
    words = listed(condition_words(each, names[each.key]) for each in shown)
    more = len(rule.rivals) - len(shown)
    also = f" (and {more} more such settings)" if more else ""
    return (
        f"The same trials also ran {words}{also}: this study cannot show which of them matters.",
    )


def _chance(rule: Rule, unit: str, count: int) -> tuple[str, ...]:
    if rule.by_chance is None or rule.by_chance < SURELY:
        return ()
    if rule.by_chance > _ALMOST_ALWAYS:
        return (
            f"There are only {count} {unit}. Some rule fits almost any outcome, so this is only a "
            "hint.",
        )
    return (
        f"There are only {count} {unit}. Random outcomes would give an equally clear rule in "
        f"{percent(rule.by_chance)} of such studies, so this is only a hint.",
    )


def _units(
    study: Study, records: Sequence[TrialRecord], is_failure: Callable[[TrialRecord], bool]
) -> list[Unit]:
    """Makes units: single trials, or settings with all their seeds.

    Single trials are used if settings are crossed on purpose. Drawn settings are a sample. Only
    their number shows how certain a rule is for other settings.
    """
    if _counts_trials(study):
        groups = [[record] for record in records]
    else:
        ordered = sorted(records, key=lambda record: record.trial.setting)
        groups = [list(g) for _, g in groupby(ordered, key=lambda record: record.trial.setting)]
    keys = varied_keys(study.space, records)
    known = {key: value_of(study.recipe, key) for key in meaning_keys()}
    return [
        Unit(
            values := {key: group[0].trial.settings.get(key) for key in keys},
            states_of({**known, **values}, keys),
            judged=len(group),
            failed=sum(map(is_failure, group)),
        )
        for group in groups
    ]


def _counts_trials(study: Study) -> bool:
    return study.command == "ablate"


def change_words(study: Study, settings: Settings) -> str:
    """Says what a setting changes in the baseline: ``without centering (center_momentum = 1)``."""
    names, held = named(study.space.parameters), study.baseline
    changed = [key for key, value in settings.items() if value != held[key]]
    known = {key: value_of(study.recipe, key) for key in meaning_keys()}
    before, after = states_of({**known, **held}, changed), states_of({**known, **settings}, changed)
    phrases = []
    for key in changed:
        test: Test = "state" if before.get(key) != after.get(key) else "is"
        value = after[key] if test == "state" else settings[key]
        condition = Condition(key, test, value, (settings[key],), (held[key],), "", ())
        phrases.append(condition_words(condition, names[key]))
    return listed(phrases)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
