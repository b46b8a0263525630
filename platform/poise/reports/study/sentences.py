"""Sentences that the page and the Markdown report share.

In: findings. Out: sentences. Next: the page's sections and ``poise.reports.study.markdown``.
"""

from collections.abc import Sequence

from poise.config.wording import listed, metric_phrase, unit
from poise.reports.study.terms import COUNTED_ARE
from poise.studies.analysis.cost import Cost
from poise.studies.analysis.dose_response import DoseResponse
from poise.studies.analysis.intervals import FEWEST_PAIRS, Share
from poise.studies.analysis.label_free_choice import Selection
from poise.studies.findings.advice import Advice
from poise.studies.findings.findings import Findings
from poise.studies.findings.table import Comparison
from poise.studies.number_format import (
    capitalized,
    chance,
    counted,
    decimals_for,
    duration,
    percent,
    shown,
)
from poise.studies.records import TrialRecord

GUIDE = (
    "Use these correlations only as a guide. They have no p-value, because trials with the same "
    "setting are not independent."
)

OUTLIERS_ARE = (
    "An outlier is a patch whose norm in the last block is far above the norms of the other "
    "patches. A trial has outliers from the first logged step at which 1 % of its patches are "
    "outliers (patches/outlier_share). A trial that ended early without outliers is not counted."
)
"""Explanation of the table of outlier patches."""

SMALL_PRINT = "The range in small print is the 95 % interval."
"""Caption of a table whose cells have an interval below the value."""

NAMES_ARE = "A name such as t01 stands for a setting. The first table lists its values."
"""Sentence for sections that show names of settings without their values."""

_MOST_ADVISED = 6
"""Largest number of settings, and of trials, that are named before an advice."""

_WOULD = {"collapsed": "collapse", "forgot": "forget", "failed to learn": "fail to learn"}
"""Maps the verb for failed trials to its form after "would"."""


def how_sure(comparison: Comparison, place: str) -> str:
    """Explains how to read the table of settings. Only columns that this table has are explained.

    Args:
        comparison: table of settings.
        place: words for the place of intervals, such as ``in brackets``.
    """
    sentences = []
    if any(row.mean.low is not None for row in comparison.rows):
        sentences.append(
            f"The range {place} after a mean is the 95 % confidence interval of this mean over "
            "seeds."
        )
    if any(row.difference is not None for row in comparison.rows):
        sentences.append(
            "“Difference” is the mean of the setting minus the mean of the baseline. The "
            "difference uses only seeds that both settings have."
        )
    if any(row.difference and row.difference.p_holm is not None for row in comparison.rows):
        sentences.append(
            "p is the p-value of a paired t-test, corrected for the number of comparisons (Holm). "
            "The intervals are not corrected, so an interval can exclude 0 although p is above "
            "0.05."
        )
    counts = [row.condemned for row in comparison.rows if row.condemned.n]
    if counts:
        example = max(counts, key=lambda share: share.n)
        sentences.append(
            f"“{counted(example)}” means {_count_words(comparison, example)}. {COUNTED_ARE}"
        )
    if any(map(chance, counts)):
        sentences.append(
            f"The range {place} after a count is a 95 % confidence interval. It estimates the "
            f"share of all possible seeds that would {_WOULD[comparison.condemned_as]}."
        )
    return " ".join([*sentences, *failed_means(comparison)])


def _count_words(comparison: Comparison, share: Share) -> str:
    """Explains the count of failed trials, such as ``2 of 3``, in the table of settings."""
    trials = "1 trial" if share.n == 1 else f"{share.n} trials"
    return f"that {share.count or 'none'} of {trials} {comparison.condemned_as}"


def failed_means(comparison: Comparison) -> tuple[str, ...]:
    """Explains "failed to learn" or "forgot". Returns nothing if all failed trials collapsed."""
    if comparison.condemned_as == "collapsed":
        return ()
    if comparison.condemned_as == "forgot":
        return ("“Forgot” means that training destroyed much of the k-NN accuracy of its start.",)
    return (
        "“Failed to learn” means that the trial collapsed, diverged, or got another bad verdict.",
    )


def advised(advice: Advice) -> str:
    """Writes the names of settings and trials, then the advice for them."""
    several = len(advice.settings) > 1
    settings = [f"({name})" if "=" in name and several else name for name in advice.settings]
    who = [
        f"for the {noun}{'' if len(names) == 1 else 's'} {_first(names)}"
        for noun, names in (("setting", settings), ("trial", advice.trials))
        if names
    ]
    return f"{capitalized(listed(who))}: {advice.text}"


def _first(names: Sequence[str]) -> str:
    more = len(names) - _MOST_ADVISED
    return listed([*names[:_MOST_ADVISED], *([f"{more} more"] if more > 0 else [])])


def registration(findings: Findings) -> str:
    """Begins the sentence about the registered backbone. Its name in the registry comes next.

    The sentence is in the past tense: a study can grow, so another trial may be the best by now.
    """
    setting, _, seed = str(findings.best).partition("-s")
    return (
        f"Poise chose the best healthy trial, {findings.best} (setting {setting}, seed {seed}), "
        "and registered its backbone as"
    )


def since(step: float | None, failed: int) -> str:
    """Writes the step from which trials failed: ``since step 344, median of 2 trials``.

    Args:
        step: median of the first failed steps, or None if no trial failed.
        failed: number of failed trials.
    """
    if step is None:
        return ""
    median = f", median of {failed} trials" if failed > 1 else ""
    return f"since step {shown(step, 0)}{median}"


def label(findings: Findings, metric: str) -> str:
    """Returns the name of a metric for tables and axes."""
    return findings.labels.get(metric, metric)


def target_decimals(found: Selection) -> int:
    """Returns the number of decimals for the metric that needs labels."""
    return decimals_for(found.target, [found.best.metrics[found.target]])


def lost_words(metric: str) -> str:
    """Returns the header of the column that shows how much a metric's choice loses."""
    return "points lost" if unit(metric) else "lost"


def lost_means(metric: str) -> str:
    """Explains the column that shows how much a metric's choice loses."""
    return (
        f"“{capitalized(lost_words(metric))}” says how much worse the chosen trial is than the "
        f"best one, by {metric_phrase(metric)}. The chosen trial and the best trial come from "
        "the same group. The group is either all trials or the healthy trials."
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
            "Only one setting is healthy, so this study cannot show which metric would choose best "
            "without labels."
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


def spent(found: Cost) -> str:
    """Writes how many steps, images and hours all trials took."""
    count = len(found.trials)
    trials = "1 trial" if count == 1 else f"Together, the {count} trials"
    text = (
        f"{trials} trained for {shown(found.steps, 0)} steps and processed "
        f"{shown(found.images, 0)} images. An image counts again each time it is processed. The "
        f"times of all trials add up to {duration(found.hours)}."
    )
    if not found.images_per_s:
        return text
    speed = shown(found.images_per_s, 0 if found.images_per_s >= 10 else None)
    return (
        f"{text} On average, a trial processed {speed} images per second. This average includes "
        "the time in which a trial starts and evaluates."
    )


def saved(found: Cost) -> str:
    """Writes how many steps and hours early stopping saved."""
    if not found.stopped:
        return "No trial was stopped early."
    by = listed(
        f"{name} stopped {count} trial{'' if count == 1 else 's'}"
        for name, count in found.stopped.items()
    )
    share = (
        "" if found.saved_share is None else f" ({percent(found.saved_share)} of the planned steps)"
    )
    time = f" and about {duration(found.saved_hours)}" if found.saved_hours else ""
    return (
        f"{by} before the last planned step. This saved {shown(found.saved_steps, 0)} steps{share}"
        f"{time}."
    )


def as_in_baseline(response: DoseResponse, what: str) -> str:
    """Says that only one hyperparameter varies, and that the others keep the baseline's values.

    The result is empty if the others do not keep them, or if there are no others.

    Args:
        response: outcome at each value of the hyperparameter.
        what: word for the table or chart that shows it.
    """
    if not response.held:
        return ""
    others = (
        f"The other hyperparameter, {response.held[0]}, keeps the value of the baseline."
        if len(response.held) == 1
        else "The other hyperparameters keep the values of the baseline."
    )
    return f" This {what} varies only {response.name}. {others}"


def pooled(names: tuple[str, ...], what: str) -> str:
    """Writes that other hyperparameters vary within a cell or a point.

    The result is empty if none varies.
    """
    return f" {what} averages over all values of {listed(names)}." if names else ""
