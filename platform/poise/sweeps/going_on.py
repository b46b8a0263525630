"""How to go on with a study of which something is left.

In: a study, and how its trials stand. Out: the words behind ``poise``. Next: ``Standing`` and
``StudyResult``, which tell them.
"""

from collections.abc import Sequence

from poise.sweeps.budget import has_time_left
from poise.sweeps.records import TrialRecord
from poise.sweeps.sources import count_trials
from poise.sweeps.study import Study


def resume_words(study: Study, records: Sequence[TrialRecord], lacks: str = "") -> str:
    """``ablate --resume NAME budget.trials=8``: with every limit raised that leaves no room.

    Trials and steps are raised to what the whole study takes. A limit for which that is not known
    is lifted: how long the rest takes is a guess, and one that is too low would run nothing.

    Args:
        study: that is meant.
        records: of its trials.
        lacks: the limit that left no room, where one is known to: ``budget.hours=6``.
    """
    budget = study.space.budget
    trials, steps = _all_trials(study, records), _all_steps(study, records)
    raised: dict[str, int | str] = {}
    if lacks:
        raised[lacks.partition("=")[0]] = "null"
    if not has_time_left(study):
        raised["budget.hours"] = "null"
    if budget.trials is not None and budget.trials < trials:
        raised["budget.trials"] = trials
    if budget.steps is not None and budget.steps < steps:
        raised["budget.steps"] = steps
    return " ".join(
        [study.command, "--resume", study.name, *(f"{key}={n}" for key, n in raised.items())]
    )


def _all_trials(study: Study, records: Sequence[TrialRecord]) -> int:
    return max(count_trials(study), len(records))


def _all_steps(study: Study, records: Sequence[TrialRecord]) -> int:
    """What is done took what it took; the longest that began stands for every other."""
    done = [each.step for each in records if each.is_done]
    longest = max((each.total_steps for each in records), default=0)
    return sum(done) + longest * (_all_trials(study, records) - len(done))
