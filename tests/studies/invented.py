"""Studies that never ran, with curves like those of studies that did."""

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from poise.config import Space
from poise.diagnostics.history import History
from poise.diagnostics.judge import Verdict, VerdictKind
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.trials import Trial
from tests.studies.builders import make_space, watched_recipe

CENTERING, TEMPERATURE = "objective.center_momentum", "objective.teacher_temp"
TOTAL_STEPS = 1000


def invented_space(values: Sequence[int] = (2, 2), seeds: int = 3, **changes: Any) -> Space:
    """Centering × sharpening, with so many values of each."""
    centering = [0.9, 1.0, 0.99, 0.5, 0.0, *(i / 100 for i in range(1, 40))][: values[0]]
    temperature = [0.04, 0.1, 0.07, 0.06, 0.02, *(0.1 + i / 200 for i in range(1, 40))][: values[1]]
    parameters = {
        CENTERING: {"grid_search": sorted(centering)},
        TEMPERATURE: {"grid_search": sorted(temperature)},
    }
    return make_space(parameters, seeds=list(range(seeds)), **changes)


def invented_study(space: Space, name: str = "invented") -> Study:
    """A study of that space."""
    return Study(name, space, watched_recipe(), "search_spaces/invented.yaml", ())


def invented_trials(
    space: Space, points: int = 200
) -> tuple[list[TrialRecord], dict[str, History]]:
    """A record and a history for every setting and seed.

    Without centering one prototype wins; without sharpening the teacher ends uniform.
    """
    grids = {key: sampler.values or () for key, sampler in space.parameters.items()}
    cells = list(itertools.product(*grids.values()))
    records, histories = [], {}
    for (setting, cell), seed in itertools.product(enumerate(cells), space.seeds):
        settings = dict(zip(grids, cell, strict=True))
        trial = Trial(f"t{setting + 1:02d}-s{seed}", setting, settings, seed)
        record, history = _trained(trial, points)
        records.append(record)
        histories[trial.name] = history
    return records, histories


def _trained(trial: Trial, points: int) -> tuple[TrialRecord, History]:
    generator = random.Random(f"{trial.settings}{trial.seed}")
    kind = _fate(trial, generator)
    onset = None if kind is VerdictKind.HEALTHY else 120 + 20 * trial.seed
    stopped = onset is not None and trial.seed % 2 == 1
    last = 500 if stopped else TOTAL_STEPS
    steps = range(TOTAL_STEPS // points, last + 1, max(TOTAL_STEPS // points, 1))
    history = [(step, _metrics(step, kind, onset, generator)) for step in steps]
    verdict = Verdict(
        kind,
        onset,
        "mutual information has stayed above a tenth of ln K"
        if onset is None
        else f"mutual information has been under 0.01 of ln K since step {onset}",
        "" if onset is None else "Lower center_momentum or raise teacher_temp.",
    )
    record = TrialRecord(
        trial=trial,
        state="stopped" if stopped else "finished",
        run_id="0" * 32,
        verdict=verdict,
        metrics=history[-1][1] | {"untrained/knn_top1": 18.2},
        step=last,
        total_steps=TOTAL_STEPS,
        planned_steps=TOTAL_STEPS,
        seconds=last * 0.21,
    )
    return (replace(record, stopped_by="CollapseStopper") if stopped else record), history


def _fate(trial: Trial, generator: random.Random) -> VerdictKind:
    centering, temperature = trial.settings[CENTERING], trial.settings[TEMPERATURE]
    if centering >= 1:
        return VerdictKind.SINGLE_PROTOTYPE
    if temperature >= 0.1:
        return VerdictKind.UNIFORM
    if temperature >= 0.07 and generator.random() < 0.5:
        return VerdictKind.STUCK
    return VerdictKind.HEALTHY


def _metrics(
    step: int, kind: VerdictKind, onset: int | None, generator: random.Random
) -> dict[str, float]:
    went = 1 - math.exp(-step / 300)
    gone = 0.0 if onset is None else 1 / (1 + math.exp(-(step - onset) / 25))
    end = 0.0 if kind is VerdictKind.SINGLE_PROTOTYPE else 1.0
    noise = generator.gauss(0, 0.008)
    entropy = (1 - 0.55 * went) * (1 - gone) + end * gone
    information = max(0.42 * went * (1 - gone) + noise / 4, 1e-4)
    knn = 18 + (24 * went + generator.gauss(0, 0.6)) * (1 - 0.9 * gone)
    return {
        "loss/over_ln_k": max(entropy + 0.12 * (1 - gone) + noise, 0),
        "teacher/entropy_over_ln_k": min(max(entropy + noise, 0), 1),
        "teacher/kl_over_ln_k": max(0.12 * (1 - gone) * (1.2 - went) + noise / 3, 0),
        "teacher/mutual_information_over_ln_k": information,
        "teacher/ema_gap": 0.05 * (1 - went) + 0.004,
        "center/norm": 2 * went * (1 + gone),
        "gradient/norm": 0.8 + generator.gauss(0, 0.1),
        "features/std": 0.07 * (1 - 0.8 * gone),
        "features/rankme": 4 + 60 * went * (1 - gone),
        "features/lidar": 3 + 40 * went * (1 - gone),
        "features/cosine_mean": 0.2 + 0.75 * gone,
        "eval/knn_top1": knn,
        "eval/rankme": 4 + 60 * went * (1 - gone) + generator.gauss(0, 1),
        "eval/lidar": 3 + 40 * went * (1 - gone) + generator.gauss(0, 1),
    }
