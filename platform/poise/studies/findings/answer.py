"""What a study found, in two sentences.

In: the comparison and the dose–responses. Out: sentences made of the numbers, which claim no more
than these bear out. Next: ``poise.studies.findings.findings``.
"""

from collections.abc import Sequence

from poise.config.wording import listed, metric_name, unit
from poise.studies.analysis.dose_response import DoseResponse
from poise.studies.estimates import Difference, paired_difference
from poise.studies.findings.table import PROOF_NEEDS_SEEDS, Comparison, SettingRow
from poise.studies.number_format import (
    SIGNIFICANT,
    chance,
    counted,
    interval,
    p_equation,
    percent,
    shown,
)

_MOST_NAMED = 4
"""Settings in one sentence."""


def answer(comparison: Comparison, dose: DoseResponse | None) -> tuple[str, str]:
    """Which settings collapsed and how surely; which did best and whether that is chance.

    Args:
        comparison: of all settings.
        dose: of the setting that matters most, to sum up more settings than can be named.
    """
    return _on_collapse(comparison, dose), _on_best(comparison)


def _on_collapse(comparison: Comparison, dose: DoseResponse | None) -> str:
    rows = [row for row in comparison.rows if row.condemned.n]
    failed = [row for row in rows if row.condemned.count]
    if not rows:
        return _nothing_judged(comparison)
    if not failed:
        return _none_failed(rows)
    if len(failed) > _MOST_NAMED:
        return _many(comparison, rows, dose)
    all_judged = all(row.condemned.n == len(row.trials) for row in rows)
    seeds = "seeds" if all_judged else "judged seeds"
    named = listed(
        f"{row.label} in {counted(row.condemned)} {seeds} ({_kinds(row)}{_chance(row)})"
        for row in failed
    )
    return f"Training {comparison.failed} with {named}{_others(comparison, rows, len(failed))}."


def _none_failed(rows: Sequence[SettingRow]) -> str:
    fewest = min((row.condemned for row in rows), key=lambda share: share.n)
    judged = f"{sum(row.condemned.n for row in rows)} judged trials of {_settings(len(rows))}"
    text = f"None of the {judged} collapsed, got stuck or diverged"
    if fewest.high is None or any(row.cut_off for row in rows):
        ran = sum(len(row.trials) for row in rows)
        return f"{text}; {ran} ran, and how those that were stopped would have ended is open."
    return (
        f"{text}; {_seeds(fewest.n)} of a setting {'leaves' if fewest.n == 1 else 'leave'} a "
        f"chance of up to {percent(fewest.high)} open."
    )


def _chance(row: SettingRow) -> str:
    ends = chance(row.condemned)
    return f"; chance {ends}" if ends else ""


def _others(comparison: Comparison, rows: Sequence[SettingRow], failed: int) -> str:
    others, unjudged = len(rows) - failed, comparison.standing.planned_settings - len(rows)
    told = ""
    if others:
        judged = "judged " if unjudged else ""
        number = f"{others} " if others > 1 else ""
        told = f"; the other {number}{judged}{'settings' if others > 1 else 'setting'} in none"
    if unjudged and not comparison.standing.is_over:
        told += f"; of {_settings(unjudged)} nothing is known yet"
    return told


def _nothing_judged(comparison: Comparison) -> str:
    total = sum(len(row.trials) for row in comparison.rows)
    began = "" if comparison.standing.is_over else " that began"
    trials = f"All {total} trials{began}" if total > 1 else f"The only trial{began}"
    ended = total - sum(row.unended for row in comparison.rows)
    for outcome, told in (
        ("failed", f"failed before {'they' if total > 1 else 'it'} could be judged"),
        ("undecided", "ended undecided: neither surely healthy nor surely lost"),
    ):
        if ended and total == ended == sum(row.verdicts.get(outcome, 0) for row in comparison.rows):
            return f"{trials} {told}."
    if total and not ended:
        return "No trial has ended, and a trial is judged at its end."
    return "No trial has come far enough to be judged."


def _many(comparison: Comparison, rows: Sequence[SettingRow], dose: DoseResponse | None) -> str:
    """Without an interval: trials of one setting are alike, so all of them are no sample."""
    count, n = sum(row.condemned.count for row in rows), sum(row.condemned.n for row in rows)
    ran = sum(len(row.trials) for row in comparison.rows)
    of = f"{n} trials ({percent(count / n)})" if n == ran else f"{n} judged trials ({ran} ran)"
    text = f"Training {comparison.failed} in {count} of {of}"
    known = [each for each in dose.doses if each.condemned.n] if dose else []
    least = min(known, key=lambda each: each.condemned.value or 0, default=None)
    most = max(known, key=lambda each: each.condemned.value or 0, default=None)
    if dose is None or least is None or most is None:
        return f"{text}."
    if least.condemned.value == most.condemned.value:
        return f"{text}."
    return (
        f"{text}, from {counted(least.condemned)} at {dose.name} {least.label} to "
        f"{counted(most.condemned)} at {most.label}."
    )


def _on_best(comparison: Comparison) -> str:
    metric, healthy = metric_name(comparison.metric), comparison.healthy
    is_over = comparison.standing.is_over
    if not any(row.condemned.n for row in comparison.rows):
        return f"So no setting can be recommended{'' if is_over else ' yet'}."
    if not any(row.is_healthy for row in comparison.rows):
        if not is_over:
            return "No setting has been healthy so far, and the study is not over."
        return "No setting was healthy in all of its seeds, so none can be recommended."
    if not healthy:
        yet = "" if is_over else " yet"
        return (
            f"No setting that stayed healthy has a {metric}{yet}, so none can be called the best."
        )
    best = healthy[0]
    opening = f"Of the settings that stayed healthy{'' if is_over else ' so far'}"
    return (
        f"{opening}, {best.label} has the best {metric}: "
        f"{_figure(comparison, best)}{_loss(comparison, best)}; "
        f"{_how_sure(comparison, best, healthy[1:])}."
    )


def _loss(comparison: Comparison, best: SettingRow) -> str:
    """What training took from it; empty where it gave something: that is what training is for."""
    lost, decimals = best.gain.value, comparison.decimals
    if lost is None or best.mean.value is None or not comparison.is_worse(lost):
        return ""
    percentage, more = unit(comparison.metric), "below" if lost < 0 else "above"
    return (
        f", {shown(abs(lost), decimals)}{' points' if percentage else ''} {more} the "
        f"{shown(best.mean.value - lost, decimals)}{percentage} that it had untrained"
    )


def _how_sure(comparison: Comparison, best: SettingRow, others: Sequence[SettingRow]) -> str:
    if best.mean.n < PROOF_NEEDS_SEEDS:
        return f"of {_seeds(best.mean.n)} that proves nothing"
    if best.is_baseline:
        return _baseline_is_best(comparison, best, others)
    if best.difference is not None:
        told = f"that is {_difference(comparison, best.difference, 'the baseline')}"
        return f"{told}, untested: {comparison.untested}" if comparison.untested else told
    if not others:
        return f"no other setting {_stayed(comparison)}"
    return _second(comparison, best, others)


def _stayed(comparison: Comparison) -> str:
    return "stayed healthy" if comparison.standing.is_over else "has stayed healthy so far"


def _second(comparison: Comparison, best: SettingRow, others: Sequence[SettingRow]) -> str:
    """Without a test: whichever is best was chosen on the very figures that it would test."""
    to_best = paired_difference(others[0].values, best.values)
    if to_best.value == 0:
        return f"the second, {others[0].label}, is {_difference(comparison, to_best, 'it')}"
    return (
        f"the second, {others[0].label}, is {_difference(comparison, to_best, 'it')}; "
        f"it was chosen as the best of {len(others) + 1} by these same figures, which favours it"
    )


def _baseline_is_best(
    comparison: Comparison, best: SettingRow, others: Sequence[SettingRow]
) -> str:
    it_is = "it is the baseline, and " if best.mark else ""
    if not others:
        return f"{it_is}no other setting {_stayed(comparison)}"
    opening = f"{it_is}of {_settings(len(others))} more that stayed healthy"
    if comparison.untested:
        return f"{opening} none was tested against it: {comparison.untested}"
    if all(row.difference is None or row.difference.n < PROOF_NEEDS_SEEDS for row in others):
        return f"{opening} none shares {PROOF_NEEDS_SEEDS} seeds with it, which proves nothing"
    surely = sum(row.difference is not None and _is_real(row.difference) for row in others)
    if not surely:
        alike = sum(row.difference is not None and row.difference.value == 0 for row in others)
        at_all = f", {alike} not at all" if alike else ""
        return f"{opening} none differs from it by more than chance{at_all}"
    return (
        f"{it_is}{surely} of {_settings(len(others))} more that stayed healthy "
        f"{'is' if surely == 1 else 'are'} behind it by more than chance"
    )


def _difference(comparison: Comparison, difference: Difference, reference: str) -> str:
    if difference.value is None:
        return f"not comparable with {reference}: they share no seed"
    decimals = comparison.decimals
    more = "above" if difference.value >= 0 else "below"
    text = (
        f"{shown(abs(difference.value), decimals)} {more} {reference}"
        if difference.value
        else f"as good as {reference}"
    )
    if difference.n < PROOF_NEEDS_SEEDS:
        return f"{text}, of {_seeds(difference.n)} in common, which proves nothing"
    p = difference.p_holm if difference.value else None  # which says nothing of no difference
    if p is None and difference.low == difference.high:
        return f"{text} in each of {_seeds(difference.n)} alike"
    ends = f"95 % interval {interval(difference, decimals)}"
    if p is None:
        return f"{text} ({ends})"
    verdict = "more than chance" if _is_real(difference) else "which may be chance"
    return f"{text} ({ends}, corrected {p_equation(p)}), {verdict}"


def _is_real(difference: Difference) -> bool:
    enough = difference.n >= PROOF_NEEDS_SEEDS
    return enough and difference.p_holm is not None and difference.p_holm < SIGNIFICANT


def _figure(comparison: Comparison, row: SettingRow) -> str:
    decimals, mean = comparison.decimals, row.mean
    text = f"{shown(mean.value, decimals)}{unit(comparison.metric)}"
    of = f"the survivors, {mean.n} of {_seeds(len(row.trials))}" if row.cut_off else _seeds(mean.n)
    ends = interval(mean, decimals)
    if row.cut_off:
        return f"{text} (mean of {of}{f', 95 % interval {ends}' if ends else ''})"
    return f"{text} (95 % interval {ends}, {of})" if ends else text


def _kinds(row: SettingRow) -> str:
    words = [w for w in row.verdicts if w.startswith("collapsed") or w in _OTHER_FAILURES]
    return listed(word.removeprefix("collapsed: ") for word in words)


_OTHER_FAILURES = ("stuck at ln K", "diverged")


def _settings(count: int) -> str:
    return f"{count} {'setting' if count == 1 else 'settings'}"


def _seeds(count: int) -> str:
    return f"{count} {'seed' if count == 1 else 'seeds'}"
