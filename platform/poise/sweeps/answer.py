"""What a study found, in two sentences.

In: the comparison and the dose–responses. Out: sentences made of the numbers, which claim no more
than these bear out. Next: ``poise.sweeps.findings``.
"""

from collections.abc import Sequence

from poise.sweeps.comparison import PROOF_NEEDS_SEEDS, Comparison, SettingRow
from poise.sweeps.dose_response import DoseResponse
from poise.sweeps.estimates import Difference, Estimate, Share, paired_difference, share_interval
from poise.sweeps.wording import listed, metric_name, number, p_value, unit

SIGNIFICANT = 0.05
"""A corrected p-value below this is called more than chance."""

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
    total = sum(row.condemned.n for row in rows)
    failed = [row for row in rows if row.condemned.count]
    if not total:
        return "No trial has come far enough to be judged."
    if not failed:
        fewest = min((row.condemned for row in rows), key=lambda share: share.n)
        return (
            f"None of the {total} judged trials of {_settings(len(rows))} collapsed, got "
            f"stuck or diverged; {_seeds(fewest.n)} of a setting leave a chance of up to "
            f"{fewest.high:.0%} open."
        )
    if len(failed) > _MOST_NAMED:
        return _many(comparison, rows, dose)
    named = listed(
        f"{row.label} in {_of(row.condemned)} seeds ({_kinds(row)}; "
        f"chance {_interval(row.condemned)})"
        for row in failed
    )
    others = len(rows) - len(failed)
    rest = f"; the other {_settings(others) if others > 1 else 'setting'} in none" if others else ""
    return f"Training {comparison.failed} with {named}{rest}."


def _many(comparison: Comparison, rows: Sequence[SettingRow], dose: DoseResponse | None) -> str:
    share = share_interval(
        sum(row.condemned.count for row in rows), sum(row.condemned.n for row in rows)
    )
    text = (
        f"Training {comparison.failed} in {_of(share)} trials ({share.count / share.n:.0%}, 95 % "
        f"interval {_interval(share)})"
    )
    known = [each for each in dose.doses if each.condemned.n] if dose else []
    if dose is None or not known:
        return f"{text}."
    least = min(known, key=lambda each: each.condemned.value or 0)
    most = max(known, key=lambda each: each.condemned.value or 0)
    return (
        f"{text}, from {_of(least.condemned)} at {dose.name} {least.label} to "
        f"{_of(most.condemned)} at {most.label}."
    )


def _on_best(comparison: Comparison) -> str:
    healthy = comparison.healthy
    if not healthy:
        return "No setting was healthy in all of its seeds, so none can be recommended."
    best = healthy[0]
    opening = (
        f"Of the settings that stayed healthy, {best.label} has the best "
        f"{metric_name(comparison.metric)}: {_figure(comparison, best.mean)}"
    )
    return f"{opening}; {_how_sure(comparison, best, healthy[1:])}."


def _how_sure(comparison: Comparison, best: SettingRow, others: Sequence[SettingRow]) -> str:
    if best.mean.n < PROOF_NEEDS_SEEDS:
        return f"of {_seeds(best.mean.n)} that proves nothing"
    baseline = comparison.baseline
    if best.is_baseline:
        return _baseline_is_best(others)
    if best.difference is not None and baseline is not None:
        return f"that is {_difference(comparison, best.difference, 'the baseline')}"
    if not others:
        return "no other setting stayed healthy"
    return _second(comparison, best, others)


def _second(comparison: Comparison, best: SettingRow, others: Sequence[SettingRow]) -> str:
    """Without a test: whichever is best was chosen on the very figures that it would test."""
    to_best = paired_difference(others[0].values, best.values)
    return (
        f"the second, {others[0].label}, is {_difference(comparison, to_best, 'it')}; "
        f"it was chosen as the best of {len(others) + 1} by these same figures, which favours it"
    )


def _baseline_is_best(others: Sequence[SettingRow]) -> str:
    if not others:
        return "it is the baseline, and no other setting stayed healthy"
    surely = [row for row in others if row.difference and _is_real(row.difference)]
    if not surely:
        return (
            f"it is the baseline, and of {_settings(len(others))} more that stayed healthy "
            "none differs from it by more than chance"
        )
    return (
        f"it is the baseline, and {len(surely)} of {_settings(len(others))} more that stayed "
        f"healthy {'is' if len(surely) == 1 else 'are'} behind it by more than chance"
    )


def _difference(comparison: Comparison, difference: Difference, reference: str) -> str:
    if difference.value is None:
        return f"not comparable with {reference}: they share no seed"
    metric = comparison.metric
    more = "above" if difference.value >= 0 else "below"
    text = f"{number(metric, abs(difference.value))} {more} {reference}"
    if difference.low is None or difference.high is None:
        return f"{text}, of {_seeds(difference.n)} in common, which proves nothing"
    low, high = number(metric, difference.low), number(metric, difference.high)
    if difference.p_holm is None and difference.low == difference.high:
        return f"{text} in each of {_seeds(difference.n)} alike"
    if difference.p_holm is None:
        return f"{text} (95 % interval {low} to {high})"
    verdict = "more than chance" if _is_real(difference) else "which may be chance"
    corrected = p_value(difference.p_holm)
    return f"{text} (95 % interval {low} to {high}, corrected {corrected}), {verdict}"


def _is_real(difference: Difference) -> bool:
    return difference.p_holm is not None and difference.p_holm < SIGNIFICANT


def _figure(comparison: Comparison, mean: Estimate) -> str:
    metric = comparison.metric
    assert mean.value is not None
    text = f"{number(metric, mean.value)}{unit(metric)}"
    if mean.low is None or mean.high is None:
        return text
    low, high = number(metric, mean.low), number(metric, mean.high)
    return f"{text} (95 % interval {low} to {high}, {_seeds(mean.n)})"


def _kinds(row: SettingRow) -> str:
    words = [w for w in row.verdicts if w.startswith("collapsed") or w in _OTHER_FAILURES]
    return listed(word.removeprefix("collapsed: ") for word in words)


_OTHER_FAILURES = ("stuck at ln K", "diverged")


def _of(share: Share) -> str:
    return f"{share.count} of {share.n}"


def _interval(share: Share) -> str:
    return f"{100 * share.low:.0f} to {100 * share.high:.0f} %"


def _settings(count: int) -> str:
    return f"{count} {'setting' if count == 1 else 'settings'}"


def _seeds(count: int) -> str:
    return f"{count} {'seed' if count == 1 else 'seeds'}"
