"""Probes and fine-tuning whose images are streamed: runs like any other, that can be resumed.

In: a ``ProbePlan``. Out: a trained objective, and its run, a child of the run that made the model
where that is known. Next: ``poise.evaluation.trained.probe`` reports, ``poise evaluate`` prints.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import yaml

from poise.config import Recipe, load_recipe
from poise.config.errors import PoiseError
from poise.config.paths import RECIPE_FILE, home
from poise.data.manifest import Manifest
from poise.objectives.labelled import LabelledObjective
from poise.tracking.datasets import dataset_tags
from poise.tracking.evaluation import find_maker
from poise.tracking.run import Run, create_run, create_trial_run, log_environment, log_recipe
from poise.tracking.store import Store
from poise.training.checkpoint import load_checkpoint
from poise.training.job import Job
from poise.training.loop import new_state
from poise.training.report import RunObserver
from poise.training.worker import fit

PLAN_FILE = "probe.json"


@dataclass(frozen=True)
class ProbePlan:
    """What a probe was asked to do, beside its recipe."""

    protocol: str
    model: str
    """As it was named."""

    test: str
    changed: tuple[str, ...] = ()
    """Settings that are not the protocol's."""


def keep_plan(name: str, plan: ProbePlan, recipe: Recipe) -> None:
    """Takes a run's name and writes down what it will do.

    Raises:
        PoiseError: there is a run of this name.
    """
    folder = home() / name
    if folder.exists():
        raise PoiseError(f"{folder}: there is a run of this name; finish it with --resume {name}")
    folder.mkdir(parents=True)
    content = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    (folder / RECIPE_FILE).write_text(content, encoding="utf-8")
    (folder / PLAN_FILE).write_text(json.dumps(asdict(plan), indent=2) + "\n", encoding="utf-8")


def read_plan(name: str) -> tuple[ProbePlan, Recipe]:
    """What an interrupted run was to do.

    Raises:
        PoiseError: there is no such run.
    """
    folder = home() / name
    if not (folder / PLAN_FILE).is_file():
        known = sorted(path.parent.name for path in home().glob(f"*/{PLAN_FILE}"))
        holds = f"it holds {', '.join(known)}" if known else "it holds none"
        raise PoiseError(f"--resume {name}: {home()} holds no such probe; {holds}")
    written = json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))
    plan = ProbePlan(**written | {"changed": tuple(written["changed"])})
    return plan, load_recipe(folder / RECIPE_FILE)


def open_run(store: Store, recipe: Recipe, name: str, package: Mapping[str, Any]) -> Run:
    """The probe's run; the same name again continues the same one."""
    maker, folder = find_maker(package, store), home() / name
    if maker is None:
        return create_run(store, Manifest.read(recipe.data.dataset).name, name, folder)
    experiment_id = store.client.get_run(maker).info.experiment_id
    return create_trial_run(Run(store, maker, experiment_id, str(folder)), name, folder)


def train_streamed(
    recipe: Recipe,
    run: Run,
    name: str,
    device: torch.device,
    observers: Sequence[Callable[[], RunObserver]] = (),
) -> LabelledObjective:
    """Trains on the stream of views, or finishes what was interrupted; the trained objective.

    Args:
        recipe: its objective learns from labels.
        run: in MLflow.
        name: of the run's folder under ``home()``.
        device: where the objective is wanted.
        observers: further ones, beside the metric writer.
    """
    log_recipe(run, recipe, dataset_tags(recipe))
    log_environment(run)
    outcome = fit(
        Job(recipe=recipe, name=name, storage=home(), observers=[run.open_writer, *observers])
    )
    state = new_state(recipe, device)
    load_checkpoint(outcome.checkpoint, state, recipe)
    assert isinstance(state.objective, LabelledObjective)
    return state.objective
