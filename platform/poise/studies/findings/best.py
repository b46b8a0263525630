"""Writes sentences about the best setting, and how certain it is.

In: the comparison of settings. Out: sentences. Next: ``poise.studies.findings.answer``.
"""

from collections.abc import Sequence

from poise.config.wording import listed, metric_name, unit
from poise.studies.analysis.p_values import Difference, paired_difference
from poise.studies.findings.table import PROOF_NEEDS_SEEDS, Comparison, SettingRow
from poise.studies.number_format import SIGNIFICANT, interval, p_equation, shown, signed

_MOST_ON_FRONT = 5
"""Largest number of trials that one sentence names."""

_BEGINNINGS = {"untrained": "before training", "start": "its start"}
"""Words for the backbone that a trial began with."""


def on_best(comparison: Comparison, front: Sequence[str] | None) -> tuple[str, ...]:
    """Writes sentences about the best healthy setting.

    Args:
        comparison: comparison of all settings.
        front: trials that no other trial dominates in all metrics; None in a study of one metric.
    """
    yet = "" if comparison.standing.is_over else " yet"
    metric = metric_name(comparison.metric)
    if not any(row.condemned.n for row in comparison.rows):
        return (f"So no setting can be recommended{yet}.",)
    if not any(row.is_healthy for row in comparison.rows):
        return (f"No setting is healthy in all its seeds{yet}, so none is recommended.",)
    if not comparison.healthy:
        return (f"No healthy setting has a value of {metric}{yet}, so no best one can be named.",)
    best, *others = comparison.healthy
    return (
        _figure(comparison, best),
        *_training_made_it_worse(comparison, best),
        *_how_sure(comparison, best, others),
        *([] if front is None else _on_goals(front)),
    )


def _figure(comparison: Comparison, best: SettingRow) -> str:
    decimals, so_far = comparison.decimals, "" if comparison.standing.is_over else " so far"
    ends, gain = interval(best.mean, decimals), best.gain.value
    parts = [
        f"Best{so_far}: {best.called}",
        *(["the baseline"] if best.mark else []),
        f"{metric_name(comparison.metric)} {shown(best.mean.value, decimals)}"
        + unit(comparison.metric)
        + (f" (95 % interval {ends})" if ends else ""),
    ]
    if gain is not None:
        before = _BEGINNINGS[best.began]
        parts.append(f"{signed(gain, decimals)}{_points(comparison)} compared with {before}")
    return f"{', '.join(parts)}."


def _training_made_it_worse(comparison: Comparison, best: SettingRow) -> tuple[str, ...]:
    return ("So training made it worse.",) if comparison.is_worse(best.gain.value) else ()


def _how_sure(
    comparison: Comparison, best: SettingRow, others: Sequence[SettingRow]
) -> tuple[str, ...]:
    survivors = _survivors(best)
    if best.mean.n < PROOF_NEEDS_SEEDS:
        return (
            *survivors,
            f"It ran with only {_seeds(best.mean.n)}, so treat this value as an anecdote.",
        )
    if best.is_baseline:
        return (*survivors, _baseline_is_best(comparison, others))
    if best.difference is not None:
        return (*survivors, *_against(comparison, best.difference, "It", "the baseline"))
    if not others:
        return (*survivors, f"No other setting {_stayed(comparison)}.")
    return (*survivors, *_second(comparison, best, others))


def _survivors(best: SettingRow) -> tuple[str, ...]:
    if not best.cut_off:
        return ()
    kept = f"{best.mean.n} of its {_seeds(len(best.trials))}"
    return (
        f"Only {kept} trained to the end. These were the better ones, so its mean is too good.",
    )


def _stayed(comparison: Comparison) -> str:
    return "stayed healthy" if comparison.standing.is_over else "has stayed healthy so far"


def _second(
    comparison: Comparison, best: SettingRow, others: Sequence[SettingRow]
) -> tuple[str, ...]:
    """Describes the distance to the second best. It is not tested, because it chose the best."""
    to_best = paired_difference(others[0].values, best.values)
    told = _against(comparison, to_best, f"The second, {others[0].called},", "it")
    if to_best.value == 0:
        return told
    chosen = (
        f"The best of {len(others) + 1} looks better than it is, because these values chose it."
    )
    return (*told, chosen)


def _baseline_is_best(comparison: Comparison, others: Sequence[SettingRow]) -> str:
    if not others:
        return f"No other setting {_stayed(comparison)}."
    one = len(others) == 1
    who = "The other healthy setting" if one else f"The {len(others)} other healthy settings"
    if comparison.untested:
        were = "was" if one else "were"
        return f"{who} {were} not tested against it, because {comparison.untested}."
    if all(row.difference is None or row.difference.n < PROOF_NEEDS_SEEDS for row in others):
        share = "shares" if one else "share"
        return (
            f"{who} {share} fewer than {PROOF_NEEDS_SEEDS} seeds with it, which is too few for a "
            "test."
        )
    worse = sum(row.difference is not None and _is_real(row.difference) for row in others)
    if one:
        return (
            f"{who} is {'worse by more than chance' if worse else 'not worse by more than chance'}."
        )
    if not worse:
        return (
            f"None of the {len(others)} other healthy settings differs from it by more than chance."
        )
    is_ = "is" if worse == 1 else "are"
    return f"{worse} of the {len(others)} other healthy settings {is_} worse by more than chance."


def _against(
    comparison: Comparison, difference: Difference, who: str, reference: str
) -> tuple[str, ...]:
    """Says how far a setting is from another setting, and whether the difference may be chance."""
    value, decimals = difference.value, comparison.decimals
    if value is None:
        return (f"{who} shares no seed with {reference}, so the two are not compared.",)
    side = f"{shown(abs(value), decimals)}{_points(comparison)} {'above' if value > 0 else 'below'}"
    text = f"{who} is {side} {reference}" if value else f"{who} is as good as {reference}"
    if difference.n < PROOF_NEEDS_SEEDS:
        return (f"{text}, but only {_seeds(difference.n)} ran with both: an anecdote.",)
    if difference.low == difference.high:
        return (f"{text} with each of {_seeds(difference.n)}.",)
    ends = f"95 % interval {interval(difference, decimals)}"
    if difference.p_holm is None:
        untested = comparison.untested and reference == "the baseline"
        why = (f"This is not tested, because {comparison.untested}.",) if untested else ()
        return (f"{text} ({ends}).", *why)
    text = f"{text} ({ends}, corrected {p_equation(difference.p_holm)})"
    return (f"{text}: more than chance.",) if _is_real(difference) else (f"{text}: maybe chance.",)


def _on_goals(front: Sequence[str]) -> tuple[str, ...]:
    alone = "This ranking uses only the first metric of the study."
    if not front:
        return (alone,)
    more = len(front) - _MOST_ON_FRONT
    names = listed([*front[:_MOST_ON_FRONT], *([f"{more} more"] if more > 0 else [])])
    are = "the candidate is" if len(front) == 1 else "the candidates are"
    return (
        alone,
        f"Over all metrics {are} {names}: no other trial is at least as good in all of them and "
        "better in one.",
    )


def _is_real(difference: Difference) -> bool:
    enough = difference.n >= PROOF_NEEDS_SEEDS
    return enough and difference.p_holm is not None and difference.p_holm < SIGNIFICANT


def _points(comparison: Comparison) -> str:
    return " points" if unit(comparison.metric) else ""


def _seeds(count: int) -> str:
    return f"{count} {'seed' if count == 1 else 'seeds'}"
