"""Sentences about the steps, images and hours of a study.

In: the cost of a study. Out: sentences. Next: ``poise.reports.study.sections.cost`` and
``poise.reports.study.markdown``.
"""

from poise.config.wording import counted, listed
from poise.studies.analysis.cost import Cost
from poise.studies.number_format import duration, percent, shown


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
        f"{name} stopped {counted(count, 'trial')}" for name, count in found.stopped.items()
    )
    share = (
        "" if found.saved_share is None else f" ({percent(found.saved_share)} of the planned steps)"
    )
    time = f" and about {duration(found.saved_hours)}" if found.saved_hours else ""
    return (
        f"{by} before the last planned step. This saved {shown(found.saved_steps, 0)} steps{share}"
        f"{time}."
    )
