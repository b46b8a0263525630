"""Small spaces and records that the tests of sweeps share."""

from typing import Any

from poise.config import Recipe, Space
from poise.diagnostics.judge import Verdict, VerdictKind
from poise.studies.records import TrialRecord
from poise.studies.study import Command, Study
from poise.studies.trials import Trial
from poise.sweeps.planning import plan_settings
from tests.builders import tiny_recipe

TEMPERATURE = "objective.teacher_temp"


def make_space(parameters: dict[str, Any] | None = None, **changes: Any) -> Space:
    parameters = parameters or {TEMPERATURE: {"choice": [0.04, 0.07]}}
    tree = {"name": "tiny", "recipe": "tiny.yaml", "parameters": parameters, **changes}
    return Space.model_validate(tree)


def watched_recipe(**changes: Any) -> Recipe:
    """A recipe whose k-NN is measured."""
    return tiny_recipe(evaluation__queries="nowhere", **changes)


def make_study(space: Space | None = None, command: Command = "sweep") -> Study:
    space, recipe = space or make_space(), watched_recipe()
    settings = plan_settings(space, recipe, "tiny.yaml", command)
    return Study("s", space, recipe, "tiny.yaml", (), command, settings)


def make_record(
    name: str = "t01-s0",
    knn: float | None = None,
    kind: VerdictKind = VerdictKind.HEALTHY,
    **changes: Any,
) -> TrialRecord:
    number, _, seed = name[1:].partition("-s")
    trial = Trial(name, int(number) - 1, {TEMPERATURE: 0.04}, int(seed or 0))
    metrics = {} if knn is None else {"eval/knn_top1": knn, "loss/over_ln_k": 0.5}
    content = {
        "trial": trial,
        "state": "finished",
        "verdict": Verdict(kind, None, "evidence", ""),
        "metrics": metrics,
        "step": 8,
    }
    return TrialRecord(**{**content, **changes})
