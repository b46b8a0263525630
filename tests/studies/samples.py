"""Small studies with known outcomes."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from poise.diagnostics.history import History
from poise.diagnostics.judge import Verdict, VerdictKind
from poise.studies.findings.answer import answer
from poise.studies.findings.comparison import compare
from poise.studies.outcomes import pareto_front
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.trials import Trial
from tests.studies.builders import TEMPERATURE, make_space, make_study

CENTER = "objective.center_momentum"
METRIC = "eval/knn_top1"
HEALTHY, SINGLE = VerdictKind.HEALTHY, VerdictKind.SINGLE_PROTOTYPE
UNIFORM = VerdictKind.UNIFORM


def trial_record(
    setting: int,
    seed: int,
    knn: float | None = None,
    kind: VerdictKind | None = HEALTHY,
    settings: Mapping[str, Any] | None = None,
    **changes: Any,
) -> TrialRecord:
    """One trial; without a figure it never measured one, without a kind it was never judged."""
    name = f"t{setting + 1:02d}-s{seed}"
    settings = settings or {TEMPERATURE: 0.04 + 0.01 * setting}
    onset = None if kind in (HEALTHY, VerdictKind.UNDECIDED) else 30 + 10 * seed
    content = {
        "trial": Trial(name, setting, dict(settings), seed),
        "state": "finished",
        "verdict": kind and Verdict(kind, onset, "evidence", "" if kind == HEALTHY else "advice"),
        "metrics": {} if knn is None else {METRIC: knn},
        "step": 100,
        "total_steps": 100,
        "seconds": 50.0,
    }
    return TrialRecord(**{**content, **changes})


def seeded(
    setting: int, figures: Sequence[float | None], kind: VerdictKind = HEALTHY, **changes: Any
) -> list[TrialRecord]:
    """A setting with a figure for each of its seeds."""
    return [trial_record(setting, seed, knn, kind, **changes) for seed, knn in enumerate(figures)]


def grid_study(command: str = "ablate", **changes: Any) -> Study:
    """Sharpening × centering; the baseline has both."""
    space = make_space(
        {
            CENTER: {"grid_search": [0.9, 1.0]},
            TEMPERATURE: {"grid_search": [0.04, 0.2]},
        },
        baseline={CENTER: 0.9, TEMPERATURE: 0.04},
        seeds=[0, 1, 2],
        **changes,
    )
    study = make_study(space)
    return Study(study.name, space, study.recipe, study.source, (), command)  # type: ignore[arg-type]


def grid_records() -> list[TrialRecord]:
    """As DINO's Fig. 7 has it: each of the two alone collapses, to its own end."""
    outcomes = {
        (0.9, 0.04): ([27.0, 28.0, 29.0], HEALTHY),
        (0.9, 0.2): ([20.0, 21.5, 21.0], UNIFORM),
        (1.0, 0.04): ([10.0, 10.0, 12.0], SINGLE),
        (1.0, 0.2): ([20.0, 20.0, 23.0], UNIFORM),
    }
    records = []
    for setting, ((center, temperature), (figures, kind)) in enumerate(outcomes.items()):
        settings = {CENTER: center, TEMPERATURE: temperature}
        records += seeded(setting, figures, kind, settings=settings)
    return records


def answered(study: Study, records: list[TrialRecord]) -> tuple[str, str]:
    """What the study says about collapse, and about the best setting."""
    front = [record.trial.name for record in pareto_front(records, study.space.goals)]
    return answer(study, records, compare(study, records), front)


def swept(
    parameters: Mapping[str, Any],
    fails: Callable[[Mapping[str, Any]], bool],
    trials: int,
    seeds: int = 1,
    **changes: Any,
) -> tuple[Study, list[TrialRecord]]:
    """A study that drew its settings, a list or a range for each key, and whose fate is known."""
    generator = random.Random(0)
    drawn = {
        key: {"choice": each} if isinstance(each, list) else {"uniform": [*each]}
        for key, each in parameters.items()
    }
    space = make_space(drawn, trials=trials, seeds=[*range(seeds)], **changes)
    study, records = make_study(), []
    for setting in range(trials):
        settings = {
            key: generator.choice(each) if isinstance(each, list) else generator.uniform(*each)
            for key, each in parameters.items()
        }
        kind = SINGLE if fails(settings) else HEALTHY
        figures = [(10 if kind is SINGLE else 40) + generator.random() for _ in range(seeds)]
        records += seeded(setting, figures, kind, settings=settings)
    return replace(study, space=space, settings=()), records


def entropy_history(level: float, steps: int = 100, every: int = 10) -> History:
    """A constant entropy with a k-NN at the end."""
    history = [
        (step, {"teacher/entropy_over_ln_k": level, "teacher/kl_over_ln_k": math.nan})
        for step in range(every, steps + 1, every)
    ]
    history[-1][1][METRIC] = 50.0
    return history
