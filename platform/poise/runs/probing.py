"""Probes and fine-tuning on streamed images. They are runs like any other and can be resumed.

In: a ``ProbePlan`` and its recipe. Out: a trained objective, and its run in MLflow. If the run that
made the model is known, the probe's run is its child. Next:
``poise.evaluation.trained_probes.probe`` makes the report, ``poise evaluate`` prints it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from poise.config import Recipe
from poise.config.files import read_json, write_json
from poise.config.paths import home
from poise.data.manifest import Manifest
from poise.objectives.labelled import LabelledObjective
from poise.runs.folder import claim
from poise.runs.resumption import begun, check_datasets
from poise.runs.session import opened, session
from poise.tracking.datasets import dataset_tags
from poise.tracking.evaluation import find_maker
from poise.tracking.run import Run, create_probe_run, create_run, log_environment, log_recipe
from poise.tracking.store import Store
from poise.training.checkpoint import load_checkpoint
from poise.training.datasets import fingerprints
from poise.training.loop import new_state
from poise.training.spec import RunSpec
from poise.training.worker import fit

PLAN_FILE = "probe.json"


@dataclass(frozen=True)
class ProbePlan:
    """Request of a probe, in addition to its recipe."""

    protocol: str
    model: str
    """Model as the user named it on the command line."""

    test: str
    """Folder of the dataset to classify."""

    changed: tuple[str, ...] = ()
    """Settings that differ from the protocol's."""

    @property
    def kind(self) -> str:
        """Command that carries the probe out: linear, attentive or finetune."""
        return self.protocol.partition("/")[0]


def resume_command(plan: ProbePlan, name: str) -> str:
    """Returns the command that resumes an interrupted probe."""
    return f"poise evaluate {plan.kind} --resume {name}"


def keep_plan(name: str, plan: ProbePlan, recipe: Recipe) -> None:
    """Creates the probe's folder and writes its request there.

    Raises:
        PoiseError: there is a run of this name.
    """
    datasets = {**fingerprints(recipe), plan.test: Manifest.read(plan.test).fingerprint}
    folder = claim(name, recipe, datasets, resume_command(plan, name))
    write_json(folder / PLAN_FILE, asdict(plan))


def read_plan(name: str) -> tuple[ProbePlan, Recipe]:
    """Reads the request of an interrupted probe.

    Raises:
        PoiseError: there is no such probe, or the content of a dataset has changed since its start.
    """
    recipe = begun(name, PLAN_FILE, "probe")
    written = read_json(home() / name / PLAN_FILE)
    plan = ProbePlan(**written | {"changed": tuple(written["changed"])})
    check_datasets(name, recipe, also=(plan.test,))
    return plan, recipe


def carry_out(
    recipe: Recipe, name: str, package: Mapping[str, Any], device: torch.device
) -> LabelledObjective:
    """Trains on the stream of views, or continues an interrupted probe.

    Args:
        recipe: recipe whose objective learns from labels.
        name: name of the probe; ``keep_plan`` created its folder.
        package: config of the probed model's package.
        device: device of the trained objective.

    Raises:
        PoiseError: another process works on the probe, the store or Ray does not answer, or the
            machine is too small.
    """
    with (
        opened(home() / name) as store,
        session(recipe, name, lambda: _open_run(store, recipe, name, package)) as now,
    ):
        log_recipe(now.run, recipe, dataset_tags(recipe))
        log_environment(now.run)
        observers = [now.run.open_writer, now.progress]
        spec = RunSpec(recipe, name, home(), observers, datasets=fingerprints(recipe))
        outcome = fit(spec)
    state = new_state(recipe, device)
    load_checkpoint(outcome.checkpoint, state, recipe)
    assert isinstance(state.objective, LabelledObjective)
    return state.objective


def _open_run(store: Store, recipe: Recipe, name: str, package: Mapping[str, Any]) -> Run:
    """Creates the probe's run in MLflow, or finds it again by its name."""
    maker, folder = find_maker(package, store), home() / name
    if maker is None:
        return create_run(store, Manifest.read(recipe.data.dataset).name, name, folder)
    experiment_id = store.client.get_run(maker).info.experiment_id
    return create_probe_run(Run(store, maker, experiment_id, str(folder)), name, folder)
