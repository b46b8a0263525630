"""Writes sentences about the best setting and about the evidence for it.

In: the comparison of settings. Out: sentences. Next: ``poise.studies.findings.answer``.
"""

from collections.abc import Sequence

from poise.config.wording import listed, metric_phrase, unit
from poise.studies.analysis.p_values import Difference, paired_difference
from poise.studies.findings.table import FEW_SEEDS, PROOF_NEEDS_SEEDS, Comparison, SettingRow
from poise.studies.number_format import SIGNIFICANT, interval, p_equation, shown

_MOST_ON_FRONT = 5
"""Largest number of trials that a sentence lists."""

_BEGINNINGS = {"untrained": "before training", "start": "with the initial weights"}
"""Maps the kind of a trial's initial weights to the phrase for them in the report."""


def on_best(comparison: Comparison, front: Sequence[str] | None) -> tuple[str, ...]:
    """Writes sentences about the best healthy setting and about the evidence for it.

    Args:
        comparison: comparison of all settings.
        front: names of the trials on the Pareto front of all metrics. It is None if the study has
            only one metric.
    """
    yet = "" if comparison.standing.is_over else " yet"
    metric = metric_phrase(comparison.metric)
    if not any(row.condemned.n for row in comparison.rows):
        return (f"So no setting can be recommended{yet}.",)
    if not any(row.is_healthy for row in comparison.rows):
        return (f"No setting is healthy in all its seeds{yet}, so none is recommended.",)
    if not comparison.healthy:
        return (f"No healthy setting has a value of {metric}{yet}, so none is recommended.",)
    best, *others = comparison.healthy
    return (
        *_figure(comparison, best),
        *_how_sure(comparison, best, others),
        *([] if front is None else _on_goals(front)),
    )


def _figure(comparison: Comparison, best: SettingRow) -> tuple[str, ...]:
    decimals, so_far = comparison.decimals, "" if comparison.standing.is_over else " so far"
    ends, n = interval(best.mean, decimals), best.mean.n
    details = [f"mean over {n} seeds"] if n > 1 else []
    details += [f"95 % interval {ends}"] if ends else []
    brackets = f" ({', '.join(details)})" if details else ""
    named = best.called.removeprefix("setting ")
    return (
        f"The best setting{so_far} is {named}{', the baseline' if best.mark else ''}.",
        f"Its {metric_phrase(comparison.metric)} is {shown(best.mean.value, decimals)}"
        f"{unit(comparison.metric)}{brackets}.",
        *_since_start(comparison, best),
    )


def _since_start(comparison: Comparison, best: SettingRow) -> tuple[str, ...]:
    """Compares the metric of the best setting with its value at the trials' initial weights."""
    gain, before = best.gain.value, _BEGINNINGS[best.began]
    if gain is None:
        return ()
    if gain == 0:
        return (f"This is the same value as {before}.",)
    size = f"{shown(abs(gain), comparison.decimals)}{_points(comparison)}"
    said = f"This is {size} {'more' if gain > 0 else 'less'} than {before}"
    return (f"{said}, so training made it worse." if comparison.is_worse(gain) else f"{said}.",)


def _how_sure(
    comparison: Comparison, best: SettingRow, others: Sequence[SettingRow]
) -> tuple[str, ...]:
    survivors = _survivors(best)
    if comparison.has_few_seeds:
        return (*survivors, FEW_SEEDS)
    if best.mean.n < PROOF_NEEDS_SEEDS:
        return (
            *survivors,
            f"The setting ran with only {_seeds(best.mean.n)}, so treat this value as an anecdote.",
        )
    if best.is_baseline:
        return (*survivors, _baseline_is_best(comparison, others))
    if best.difference is not None:
        return (
            *survivors,
            *_against(comparison, best.difference, "The best setting", "the baseline"),
        )
    if not others:
        return (*survivors, f"No other setting {_ended(comparison)}.")
    return (*survivors, *_second(comparison, best, others))


def _survivors(best: SettingRow) -> tuple[str, ...]:
    if not best.cut_off:
        return ()
    kept = f"{best.mean.n} of {_seeds(len(best.trials))}"
    return (
        f"Only {kept} trained to the end, because the scheduler stopped the worse seeds.",
        "So the mean of this setting is too good.",
    )


def _ended(comparison: Comparison) -> str:
    return "ended healthy" if comparison.standing.is_over else "is healthy so far"


def _second(
    comparison: Comparison, best: SettingRow, others: Sequence[SettingRow]
) -> tuple[str, ...]:
    """Writes how far the second best setting is from the best setting.

    The difference has no p-value, because the best setting was chosen by the same values.
    """
    to_best = paired_difference(others[0].values, best.values)
    second = others[0].called.removeprefix("setting ")
    told = _against(comparison, to_best, f"The second best setting, {second},", "the best setting")
    if to_best.value == 0:
        return told
    chosen = (
        f"The value of the best of {len(others) + 1} settings is probably too good, because this "
        "value was used to choose the setting."
    )
    return (*told, chosen)


def _baseline_is_best(comparison: Comparison, others: Sequence[SettingRow]) -> str:
    if not others:
        return f"No other setting {_ended(comparison)}."
    one = len(others) == 1
    who = "The other healthy setting" if one else f"The {len(others)} other healthy settings"
    if comparison.untested:
        were = "was" if one else "were"
        return f"{who} {were} not tested against the baseline, because {comparison.untested}."
    if all(row.difference is None or row.difference.n < PROOF_NEEDS_SEEDS for row in others):
        share = "shares" if one else "share"
        return (
            f"{who} {share} fewer than {PROOF_NEEDS_SEEDS} seeds with the baseline, which is too "
            "few for a test."
        )
    worse = sum(
        row.difference is not None
        and _is_real(row.difference)
        and comparison.is_worse(row.difference.value)
        for row in others
    )
    if one:
        return f"{who} is {'' if worse else 'not '}significantly worse."
    if not worse:
        return f"None of the {len(others)} other healthy settings is significantly worse."
    is_ = "is" if worse == 1 else "are"
    return f"{worse} of the {len(others)} other healthy settings {is_} significantly worse."


def _against(
    comparison: Comparison, difference: Difference, who: str, reference: str
) -> tuple[str, ...]:
    """Writes the difference between two settings, and whether the difference may be chance."""
    value, decimals = difference.value, comparison.decimals
    if value is None:
        return (f"{who} shares no seed with {reference}, so the two are not compared.",)
    side = f"{shown(abs(value), decimals)}{_points(comparison)} {'above' if value > 0 else 'below'}"
    text = f"{who} is {side} {reference}" if value else f"{who} is as good as {reference}"
    if difference.n < PROOF_NEEDS_SEEDS:
        return (
            f"{text}.",
            f"But only {_seeds(difference.n)} ran with both settings, so treat the difference as "
            "an anecdote.",
        )
    if difference.low == difference.high:
        return (f"{text} with each of {_seeds(difference.n)}.",)
    ends = f"95 % interval of the difference: {interval(difference, decimals)}"
    if difference.p_holm is None:
        untested = comparison.untested and reference == "the baseline"
        why = (
            (f"This difference was not tested, because {comparison.untested}.",) if untested else ()
        )
        return (f"{text} ({ends}).", *why)
    return f"{text} ({ends}).", *_significance(comparison, difference, difference.p_holm)


def _significance(comparison: Comparison, difference: Difference, p: float) -> tuple[str, ...]:
    """Writes whether a difference to the baseline is significant.

    The interval is not corrected for the number of comparisons. So it may exclude 0 although the
    difference is not significant.
    """
    is_real = "significant" if _is_real(difference) else "not significant"
    if comparison.num_tests == 1:
        return (f"The difference is {is_real} ({p_equation(p)}).",)
    told = (
        f"After correction for {comparison.num_tests} comparisons, the difference is {is_real} "
        f"({p_equation(p)}).",
    )
    low, high = difference.low, difference.high
    excludes = low is not None and high is not None and not low <= 0 <= high
    if excludes and not _is_real(difference):
        return (*told, "The interval is not corrected.")
    return told


def _on_goals(front: Sequence[str]) -> tuple[str, ...]:
    alone = "The study has several metrics, and this ranking uses only the first."
    if not front:
        return (alone,)
    more = len(front) - _MOST_ON_FRONT
    names = listed([*front[:_MOST_ON_FRONT], *([f"{more} more"] if more > 0 else [])])
    return (
        alone,
        f"The Pareto front of all metrics is {names}.",
        "A trial is on the front if no other trial is better in one metric and at least as good in "
        "all others.",
    )


def _is_real(difference: Difference) -> bool:
    enough = difference.n >= PROOF_NEEDS_SEEDS
    return enough and difference.p_holm is not None and difference.p_holm < SIGNIFICANT


def _points(comparison: Comparison) -> str:
    return " points" if unit(comparison.metric) else ""


def _seeds(count: int) -> str:
    return f"{count} {'seed' if count == 1 else 'seeds'}"
