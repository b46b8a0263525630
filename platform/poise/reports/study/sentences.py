"""Sentences that the page and the Markdown report share.

In: findings. Out: sentences. Next: the page's sections and ``poise.reports.study.markdown``.
"""

from collections.abc import Sequence

from poise.config.wording import listed
from poise.reports.study.terms import COUNTED_ARE
from poise.studies.analysis.dose_response import DoseResponse
from poise.studies.analysis.intervals import Share
from poise.studies.findings.advice import Advice
from poise.studies.findings.findings import Findings
from poise.studies.findings.table import Comparison
from poise.studies.number_format import capitalized, chance, out_of, shown
from poise.studies.outcomes import FailureVerb

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
            f"“{out_of(example)}” means {_count_words(comparison, example)}. {COUNTED_ARE}"
        )
    if any(map(chance, counts)):
        sentences.append(
            f"The range {place} after a count is a 95 % confidence interval. It estimates the "
            f"share of all possible seeds that would {comparison.condemned_as.infinitive}."
        )
    return " ".join(filter(None, [*sentences, _failed_means(comparison)]))


def _count_words(comparison: Comparison, share: Share) -> str:
    """Explains the count of failed trials, such as ``2 of 3``, in the table of settings."""
    trials = "1 trial" if share.n == 1 else f"{share.n} trials"
    return f"that {share.count or 'none'} of {trials} {comparison.condemned_as}"


def _failed_means(comparison: Comparison) -> str:
    """Explains "failed to learn". The list of terms explains the verdicts of other failures."""
    if comparison.condemned_as is not FailureVerb.FAILED_TO_LEARN:
        return ""
    return "“Failed to learn” means that the trial collapsed, diverged, or got another bad verdict."


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


def since(step: float | None, failed: int, trials: int) -> str:
    """Writes the step from which trials failed: ``since step 344, median of 2 trials``.

    If only some trials of the setting failed, the text counts them: ``2 of 5 failed since step 344,
    the median``.

    Args:
        step: median of the first failed steps, or None if no trial failed.
        failed: number of failed trials.
        trials: number of all trials of the setting.
    """
    if step is None:
        return ""
    text = f"since step {shown(step, 0)}"
    if failed < trials:
        return f"{failed} of {trials} failed {text}{', the median' if failed > 1 else ''}"
    return f"{text}, median of {failed} trials" if failed > 1 else text


def label(findings: Findings, metric: str) -> str:
    """Returns the name of a metric for tables and axes."""
    return findings.labels.get(metric, metric)


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
