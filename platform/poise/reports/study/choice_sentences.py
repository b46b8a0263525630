"""Sentences about the choice of a trial by metrics without labels.

In: findings. Out: sentences. Next: ``poise.reports.study.sections.label_free_choice`` and
``poise.reports.study.markdown``.
"""

from poise.config.wording import listed, metric_phrase, unit
from poise.reports.study.sentences import label
from poise.studies.analysis.intervals import FEWEST_PAIRS
from poise.studies.analysis.label_free_choice import Selection
from poise.studies.findings.findings import Findings
from poise.studies.number_format import capitalized, decimals_for, shown
from poise.studies.records import TrialRecord

GUIDE = (
    "Use these correlations only as a guide. They have no p-value, because trials with the same "
    "setting are not independent."
)

CORRELATION_IS = (
    "A correlation of 1 means that the metric and the labels put the trials in the same order, "
    "from best to worst. For the loss, the trial with the smallest value is the best. A "
    "correlation of 0 means that the two orders are unrelated."
)


def target_decimals(found: Selection) -> int:
    """Returns the number of decimals for the metric that needs labels."""
    return decimals_for(found.target, [found.best.metrics[found.target]])


def lost_words(metric: str) -> str:
    """Returns the header of the column that shows how much a metric's choice loses."""
    return "points lost" if unit(metric) else "lost"


def lost_means(metric: str) -> str:
    """Explains the column that shows how much a metric's choice loses."""
    return (
        f"“{capitalized(lost_words(metric))}” is the difference between the best trial and the "
        f"chosen trial in {metric_phrase(metric)}. In the columns for healthy trials, both "
        "are taken from the healthy trials only."
    )


def choosing(findings: Findings, found: Selection) -> str:
    """Writes which trial is best by labels, and which metrics without labels choose best."""
    decimals = target_decimals(found)

    def figure(record: TrialRecord) -> str:
        return f"{shown(record.metrics[found.target], decimals)}{unit(found.target)}"

    best, healthy, name = found.best, found.best_healthy, metric_phrase(found.target)
    text = (
        f"With labels, the best trial is {best.trial.name}. Its {name} is {figure(best)}, and its "
        f"verdict is “{best.outcome}”."
    )
    if healthy is None:
        return f"{text} No healthy trial has a value of this metric."
    if healthy != best:
        text += f" The best healthy trial is {healthy.trial.name} with {figure(healthy)}."
    return f"{text} {_without_labels(findings, found)}"


def _without_labels(findings: Findings, found: Selection) -> str:
    if all(each.healthy.trial is None for each in found.selectors):
        return "No healthy trial has a metric that needs no labels."
    if found.healthy_settings == 1:
        return (
            "This section asks which metric finds the best trial if there are no labels. Only one "
            "setting is healthy, so this study cannot answer the question."
        )
    closest = found.best_selectors
    if not closest:
        counts = [each.healthy.correlation.n for each in found.selectors]
        if max(counts) < FEWEST_PAIRS:
            return (
                f"Only {max(counts)} trials are healthy and have a metric that needs no labels. "
                "These are too few trials to see whether such a metric agrees with labels."
            )
        return "No metric without labels ranks the healthy trials in the same way as labels."
    names = listed(label(findings, each.metric) for each in closest)
    of = max(each.healthy.correlation.n for each in closest)
    trials = listed(dict.fromkeys(str(each.healthy.trial) for each in closest))
    lost = closest[0].healthy.regret
    choose = "would choose" if len(closest) == 1 else "would each choose"
    points = " points" if unit(found.target) else ""
    less = f"{shown(lost, target_decimals(found))}{points} worse"
    loss = (
        f"This trial is {less} than the best healthy trial."
        if lost
        else f"No healthy trial is better by {metric_phrase(found.target)}."
    )
    return f"Without labels, {names} {choose} {trials} among the {of} healthy trials. {loss}"
