"""Sentences that the page and its Markdown have in common.

In: findings. Out: sentences. Next: the page's sections and ``poise.reports.study.markdown``.
"""

import re

from poise.config.wording import listed, metric_name, unit
from poise.studies.analysis.cost import Cost
from poise.studies.analysis.intervals import FEWEST_PAIRS
from poise.studies.analysis.label_free_choice import Selection
from poise.studies.findings.findings import Advice, Findings
from poise.studies.findings.table import Comparison
from poise.studies.number_format import chance, decimals_for, percent, shown
from poise.studies.records import TrialRecord

COURSE = (
    "Each cell shows four means over seeds: at the first step, at a quarter and at half of the "
    "planned steps, and at the last step of each seed. A dash means that some seed ended before "
    "this point."
)
"""Explanation of the table of curves over time."""

GUIDE = (
    "Rank correlations are a guide. They have no p-value, because trials of one setting are not "
    "independent."
)

OUTLIERS_ARE = (
    "A trial has outliers from the first logged step at which 1 % of its patches have a norm far "
    "above the others' (patches/outlier_share, last block). A trial that ended early without them "
    "is not counted."
)
"""Guide to the table of outlier patches."""

NAMES_ARE = "Names such as t01 are settings; the first table lists their values."
"""Sentence for places that show names of settings without their values."""

_MOST_ADVISED = 6
"""Largest number of settings that one advice names."""


def how_sure(comparison: Comparison, place: str) -> str:
    """Explains how to read the table of settings, and only the parts that this table has.

    Args:
        comparison: table of settings.
        place: words for the place of intervals: ``in brackets``.
    """
    sentences = []
    if any(row.mean.low is not None for row in comparison.rows):
        sentences.append(f"Each mean has its 95 % confidence interval over seeds {place}.")
    if any(row.difference is not None for row in comparison.rows):
        sentences.append("A difference to the baseline compares the same seeds.")
    if any(row.difference and row.difference.p_holm is not None for row in comparison.rows):
        sentences.append(
            "p is corrected for the number of comparisons (Holm). Intervals are not corrected, so "
            "an interval may exclude 0 although p is above 0.05."
        )
    if any(chance(row.condemned) for row in comparison.rows):
        sentences.append(f"Each count has the 95 % confidence interval of the true rate {place}.")
    return " ".join([*sentences, *failed_means(comparison)])


def failed_means(comparison: Comparison) -> tuple[str, ...]:
    """Explains "failed to learn", if not every such trial collapsed."""
    if comparison.condemned_as == "collapsed":
        return ()
    if comparison.condemned_as == "forgot":
        return ("“Forgot” means that k-NN lost much of what the trained start knew.",)
    return ("“Failed to learn” means collapsed, diverged, or any other verdict against the trial.",)


def advised(advice: Advice) -> str:
    """Writes advice with one idea per sentence, and the settings that it is for."""
    named, more = advice.settings[:_MOST_ADVISED], len(advice.settings) - _MOST_ADVISED
    names = listed([*named, *([f"{more} more"] if more > 0 else [])])
    first, *rest = re.split(r"; (?![^(]*\))", advice.text)  # not inside of brackets
    sentences = [f"For {names}: {first}.", *(f"{part[:1].upper()}{part[1:]}." for part in rest)]
    return " ".join(sentences)


def label(findings: Findings, metric: str) -> str:
    """Returns a metric's name for tables and axes."""
    return findings.labels.get(metric, metric)


def target_decimals(found: Selection) -> int:
    """Returns the number of decimals for the metric from labels."""
    return decimals_for(found.target, [found.best.metrics[found.target]])


def choosing(findings: Findings, found: Selection) -> str:
    """Says which trial labels choose, and which metrics without labels come closest."""
    decimals = target_decimals(found)

    def figure(record: TrialRecord) -> str:
        return f"{shown(record.metrics[found.target], decimals)}{unit(found.target)}"

    best, healthy, name = found.best, found.best_healthy, metric_name(found.target)
    text = (
        f"By labels, the best trial is {best.trial.name} ({best.outcome}), {name} {figure(best)}."
    )
    if healthy is None:
        return f"{text} No healthy trial has a value of this metric."
    if healthy != best:
        text += f" The best healthy trial is {healthy.trial.name}, {figure(healthy)}."
    return f"{text} {_without_labels(findings, found)}"


def _without_labels(findings: Findings, found: Selection) -> str:
    if all(each.healthy.trial is None for each in found.selectors):
        return "No healthy trial has a metric that needs no labels."
    if found.healthy_settings == 1:
        return (
            "Only one setting is healthy, so this study cannot show which metric would choose best "
            "without labels."
        )
    closest = found.best_selectors
    if not closest:
        counts = [each.healthy.correlation.n for each in found.selectors]
        if max(counts) < FEWEST_PAIRS:
            return (
                f"Only {max(counts)} healthy trials have such a metric: too few to compare its "
                "order with that of labels."
            )
        return "No metric without labels orders the healthy trials as labels do."
    names = listed(label(findings, each.metric) for each in closest)
    of = max(each.healthy.correlation.n for each in closest)
    trials = listed(dict.fromkeys(str(each.healthy.trial) for each in closest))
    lost = closest[0].healthy.regret
    choose = "would choose" if len(closest) == 1 else "would each choose"
    loss = f"which loses {shown(lost, target_decimals(found))}" if lost else "as labels do"
    return f"Without labels, {names} {choose} {trials} among the {of} healthy trials, {loss}."


def spent(found: Cost) -> str:
    """Says how many steps, images and hours all trials took."""
    trials = "1 trial" if len(found.trials) == 1 else f"{len(found.trials)} trials"
    text = (
        f"{trials} trained for {shown(found.steps, 0)} steps and processed "
        f"{shown(found.images, 0)} images (repeats counted), in {shown(found.hours)} hours in "
        "total."
    )
    if not found.images_per_s:
        return text
    speed = shown(found.images_per_s, 0 if found.images_per_s >= 10 else None)
    return (
        f"{text} On average, a trial processed {speed} images/s, including its start and "
        "evaluations."
    )


def saved(found: Cost) -> str:
    """Says what early stopping saved."""
    if not found.stopped:
        return "No trial was stopped early."
    by = listed(f"{count} by {name}" for name, count in found.stopped.items())
    share = (
        "" if found.saved_share is None else f", {percent(found.saved_share)} of the planned steps"
    )
    hours = f" and about {shown(found.saved_hours)} hours" if found.saved_hours else ""
    return f"Stopped early: {by}. This saved {shown(found.saved_steps, 0)} steps{share}{hours}."


def as_in_baseline(names: tuple[str, ...]) -> str:
    """Says that other settings have the baseline's values; empty if there are no other settings."""
    have = "has its value" if len(names) == 1 else "have their values"
    return f" {listed(names)} {have} from the baseline." if names else ""


def pooled(names: tuple[str, ...], what: str) -> str:
    """Says that other settings vary within a cell or a point; empty if none varies."""
    return f" {what} averages over all values of {listed(names)}." if names else ""
