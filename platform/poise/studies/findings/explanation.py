"""Writes sentences about the hyperparameters that explain the failures of a study.

In: a study and its trials with a clear verdict. Out: sentences that begin with the hyperparameter
that explains the failures. Next: ``poise.studies.findings.answer``.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from poise.config.wording import counted, everyone, listed, named
from poise.studies.analysis.conditions import Condition, Unit, is_met
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
from poise.studies.number_format import capitalized, percent
from poise.studies.outcomes import condemned_as, is_condemned
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.trials import value_of

SURELY = 0.05
"""Significance level. A rule counts as more than chance if random outcomes give such a rule less
often.
"""

_ALMOST_ALWAYS = 0.9

_MOST_RIVALS = 2
"""Largest number of other hyperparameters that a sentence names."""

_MOST_KINDS = 3
"""Largest number of kinds of failure that a sentence counts."""


def explain(study: Study, judged: Sequence[TrialRecord], trial: str) -> tuple[str, ...]:
    """Writes sentences about the rule that separates failed from healthy trials.

    Args:
        study: study that draws its settings at random, or combines all values.
        judged: trials with a clear verdict. Some of them failed and some ended healthy.
        trial: word for such a trial in a sentence: ``trial`` or ``judged trial``.
    """
    failed = [record for record in judged if is_condemned(record)]
    did = verb(failed)
    if any(record.changes for record in judged):
        reason = (
            "Trials exchanged hyperparameters during training, so no single hyperparameter "
            "explains the failures."
        )
        found = (f"{len(failed)} of {len(judged)} {trial}s {did}.", reason)
        return (*found, *kinds(study, judged, trial))
    units = _units(study, judged, is_condemned)
    fewest = 1 if _counts_trials(study) else FEWEST_MENDED  # a full grid needs no margin for luck
    rule = separate(units, not why_untested(study), fewest)
    if rule is None:
        nothing = (
            "No simple rule for one or two hyperparameters separates the failed trials from the "
            "healthy trials."
            if varied_keys(study.space, judged)
            else "The failed and the healthy trials differ only in their seeds."
        )
        found = (f"{len(failed)} of {len(judged)} {trial}s {did}.", nothing)
        return (*found, *kinds(study, judged, trial))
    names = named(study.space.parameters)
    return (
        *_rule(rule, names, trial, did),
        *kinds(study, judged, trial),
        *_rivals(rule, names),
        *_chance(
            rule,
            "trials" if _counts_trials(study) else "settings",
            len(units),
        ),
    )


def verb(failed: Sequence[TrialRecord]) -> str:
    """Returns a verb for all failed trials, such as ``collapsed to a single prototype``."""
    kinds_seen = {str(record.verdict.kind) for record in failed if record.verdict}
    if len(kinds_seen) == 1:
        return failure(*kinds_seen)
    return condemned_as(failed)


def kinds(study: Study, judged: Sequence[TrialRecord], trial: str) -> tuple[str, ...]:
    """Writes how many trials failed in which way. Returns nothing if all failed in the same way.

    For the arguments see ``explain``. All judged trials may have failed.
    """
    failed = [record for record in judged if is_condemned(record)]
    counts = Counter(str(record.verdict.kind) for record in failed if record.verdict)
    if len(counts) < 2:
        return ()
    if len(counts) == 2 and study.held_baseline is None:
        told = _kinds_by_rule(study, judged, trial, *counts)
        if told:
            return told
    ways = [f"{count} {failure(kind)}" for kind, count in counts.most_common(_MOST_KINDS)]
    rest = len(failed) - sum(count for _, count in counts.most_common(_MOST_KINDS))
    others = [f"{rest} failed in other ways"] if rest else []
    return (f"Of these {len(failed)} trials, {listed([*ways, *others])}.",)


def _kinds_by_rule(
    study: Study, judged: Sequence[TrialRecord], trial: str, first: str, second: str
) -> tuple[str, ...]:
    """Writes which hyperparameter decided between two kinds of failure, if it is no chance."""
    failed = [record for record in judged if is_condemned(record)]
    units = _units(study, judged, is_condemned)
    told = []
    for one, other in ((first, second), (second, first)):
        rule = separate(_units(study, failed, partial(_ended_as, one)), not why_untested(study))
        if rule is None or rule.exceptions or rule.joined or rule.by_chance is None:
            return ()
        if rule.by_chance >= SURELY:
            return ()
        words = _words(rule.conditions, named(study.space.parameters), "")
        (decisive,) = rule.conditions
        inside = [unit for unit in units if is_met(decisive, unit)]
        outside = [unit for unit in units if not is_met(decisive, unit)]
        who = everyone(rule.judged_inside, _failed_noun(inside, trial))
        others = everyone(rule.judged_outside, f"other {_failed_noun(outside, trial)}")
        told.append(
            (
                f"{capitalized(who)} {words} {failure(one)}.",
                f"{capitalized(others)} {failure(other)}.",
            )
        )
    return min(told, key=lambda sentences: " without " not in sentences[0])


def _failed_noun(units: Sequence[Unit], trial: str) -> str:
    """Returns a noun for the failed trials of a group: ``trial`` itself if all of them failed."""
    return trial if all(unit.failed == unit.judged for unit in units) else f"failed {trial}"


def _ended_as(kind: str, record: TrialRecord) -> bool:
    return record.verdict is not None and record.verdict.kind == kind


def _rule(rule: Rule, names: dict[str, str], trial: str, did: str) -> tuple[str, ...]:
    words, opposite = _words(rule.conditions, names, rule.joined), _opposite(rule, names)
    if rule.exceptions == 0:
        who = everyone(rule.judged_inside, trial)
        rest = everyone(rule.judged_outside, trial if opposite else f"other {trial}")
        others = f"{rest} {opposite}" if opposite else rest
        return (f"{capitalized(who)} {words} {did}.", f"{capitalized(others)} ended healthy.")
    inside = f"{rule.failed_inside} of {rule.judged_inside} {trial}s"
    outside = f"{rule.failed_outside} of {rule.judged_outside} {trial}s"
    settings = dict.fromkeys(names[each.key] for each in rule.conditions)
    explain = "explains" if len(settings) == 1 else "together explain"
    do = "does" if rule.exceptions == 1 else "do"
    return (
        f"{listed(settings)} {explain} best which {trial}s failed.",
        f"{capitalized(words)}, {inside} {did}.",
        f"{capitalized(opposite or 'for all other values')}, {outside} {did}.",
        f"{counted(rule.exceptions, trial)} {do} not fit this pattern.",
    )


def _words(conditions: Sequence[Condition], names: dict[str, str], joined: str) -> str:
    return f" {joined} ".join(condition_words(each, names[each.key]) for each in conditions)


def _opposite(rule: Rule, names: dict[str, str]) -> str:
    """Writes a statement that is true for every trial that does not meet the rule.

    It returns an empty text if this needs more than one statement.
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
    """Writes which other rules explain the outcomes equally well."""
    if rule.num_rival_pairs:
        others = counted(rule.num_rival_pairs, "other pair")
        return (f"{others} of hyperparameters would explain the failures equally well.",)
    if not rule.rivals:
        return ()
    shown = rule.rivals[:_MOST_RIVALS]
    if rule.exceptions:
        others = listed((names[c.key] for c in shown), "or")
        return (f"{others} would explain the failures equally well.",)
    words = listed(condition_words(each, names[each.key]) for each in shown)
    more = len(rule.rivals) - len(shown)
    also = f" (and {more} more such values)" if more else ""
    return (
        f"The same trials also ran {words}{also}.",
        "So this study cannot show which of these hyperparameters caused the failures.",
    )


def _chance(rule: Rule, unit: str, count: int) -> tuple[str, ...]:
    if rule.by_chance is None or rule.by_chance < SURELY:
        return ()
    only, hint = f"The study compared only {count} {unit}", "Treat this pattern as a hint."
    if rule.by_chance > _ALMOST_ALWAYS:
        return (f"{only}, so almost any outcome shows a pattern like this.", hint)
    return (
        f"{only}, so this pattern may be a coincidence.",
        f"If the hyperparameters had no effect, {percent(rule.by_chance)} of such studies would "
        "still show an equally clear pattern.",
        hint,
    )


def _units(
    study: Study, records: Sequence[TrialRecord], is_failure: Callable[[TrialRecord], bool]
) -> list[Unit]:
    """Makes the units that a rule is tested on: single trials, or settings with all their seeds.

    An ablation uses single trials, because a user chose all its settings. A sweep draws settings at
    random. Only the number of drawn settings shows how certain a rule is for other settings.
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
