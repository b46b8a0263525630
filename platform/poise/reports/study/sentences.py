"""What the page and its Markdown say in the same words.

In: findings. Out: sentences. Next: both.
"""

from poise.config.wording import listed, metric_name, unit
from poise.studies.analysis.label_free_choice import Selection
from poise.studies.findings.findings import Advice, Findings
from poise.studies.number_format import decimals_for, shown
from poise.studies.records import TrialRecord

HOW_SURE = (
    "Beside a mean over seeds and a difference, which is taken seed by seed, are 95 % intervals, "
    "and n where a figure is of fewer than all seeds; beside the count, the exact 95 % interval of "
    "the chance behind it. p is corrected for all comparisons (Holm); intervals are not, so one "
    "may leave out 0 where p is above 0.05."
)
"""Of the table of settings."""

COURSE = (
    "Means over seeds at the first step, at a quarter and half of the planned steps, and where "
    "each seed ended; a dash where not all seeds came so far."
)
"""Of curves over time."""

GUIDE = "Rank correlations are a guide, no test: seeds of one setting are alike."


_MOST_ADVISED = 4
"""Settings that one advice names."""


def advised(advice: Advice) -> str:
    """What to do, and for which settings."""
    named, more = advice.settings[:_MOST_ADVISED], len(advice.settings) - _MOST_ADVISED
    rest = [f"{more} more {'setting' if more == 1 else 'settings'}"] if more > 0 else []
    return f"For {' · '.join([*named, *rest])}: {advice.text}."


def label(findings: Findings, metric: str) -> str:
    """What a metric is called in tables and on axes."""
    return findings.labels.get(metric, metric)


def target_decimals(found: Selection) -> int:
    """That figures which labels give have."""
    return decimals_for(found.target, [found.best.metrics[found.target]])


def choosing(findings: Findings, found: Selection) -> str:
    """What labels choose, and which metrics without labels come closest."""
    decimals = target_decimals(found)

    def figure(record: TrialRecord) -> str:
        return f"{shown(record.metrics[found.target], decimals)}{unit(found.target)}"

    best, healthy, name = found.best, found.best_healthy, metric_name(found.target)
    text = f"Labels choose {best.trial.name} ({best.outcome}), {name} {figure(best)}"
    if healthy is None:
        return f"{text}; no healthy trial has this figure."
    if healthy != best:
        text += f"; among the healthy, {healthy.trial.name}, {figure(healthy)}"
    return f"{text}. {_without_labels(findings, found)}"


def _without_labels(findings: Findings, found: Selection) -> str:
    if all(each.healthy.trial is None for each in found.selectors):
        return "No healthy trial has a metric that needs no labels."
    if found.healthy_settings == 1:
        return "What would choose best without labels cannot be told: one setting alone is healthy."
    closest = found.best_selectors
    if not closest:
        return (
            "What would choose best without labels cannot be told: no metric is seen to order the "
            "healthy as labels do."
        )
    names = [label(findings, each.metric) for each in closest]
    of = max(each.healthy.correlation.n for each in closest)
    trials = listed(dict.fromkeys(str(each.healthy.trial) for each in closest))
    lost = closest[0].healthy.regret
    decimals = target_decimals(found)
    return (
        f"Without labels, {listed(names)} {'chooses' if len(names) == 1 else 'choose'} "
        f"best among the {of} healthy: {trials}, "
        f"{f'which loses {shown(lost, decimals)}' if lost else 'as labels do'}."
    )
