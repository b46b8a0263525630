"""Runs probes and fine-tuning on streamed images, as MLflow runs that can be resumed.

In: a ``ProbePlan`` and its recipe. Out: a trained objective, and its run in MLflow. If the run that
trained the model is known, the probe's run becomes its child run. Next:
``poise.evaluation.trained_probes.probe`` makes the report, and ``poise evaluate`` prints the
report.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from poise.config import Recipe
from poise.config.checkpoint_storage import checkpoint_storage
from poise.config.errors import PoiseError
from poise.config.files import lacking, read_fields, write_json
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
    """Model, test dataset and changed settings of a probe. Other settings are in its recipe."""

    protocol: str
    model: str
    """Name or path of the model, as typed on the command line."""

    test: str
    """Folder of the test dataset, whose images are classified."""

    changed: tuple[str, ...] = ()
    """Settings that differ from the protocol, as the user typed them."""

    @property
    def kind(self) -> str:
        """Subcommand of ``poise evaluate`` that runs the probe: linear, attentive or finetune."""
        return self.protocol.partition("/")[0]


def resume_command(plan: ProbePlan, name: str) -> str:
    """Returns the command that resumes an interrupted probe."""
    return f"poise evaluate {plan.kind} --resume {name}"


def keep_plan(name: str, plan: ProbePlan, recipe: Recipe) -> None:
    """Creates the probe's folder and writes the request into it.

    Raises:
        PoiseError: a run of this name exists.
    """
    datasets = {**fingerprints(recipe), plan.test: Manifest.read(plan.test).fingerprint}
    folder = claim(name, recipe, datasets, resume_command(plan, name))
    write_json(folder / PLAN_FILE, asdict(plan))


def read_plan(name: str) -> tuple[ProbePlan, Recipe]:
    """Reads the request of an interrupted probe from its folder.

    Raises:
        PoiseError: the probe does not exist, or the content of a dataset has changed since its
            start.
    """
    recipe = begun(name, PLAN_FILE, "probe")
    path, fix = home() / name / PLAN_FILE, "restore it from a backup, or begin another probe"
    written = read_fields(path, fix, changed=list)
    try:
        plan = ProbePlan(**written | {"changed": tuple(written["changed"])})
    except TypeError as error:
        raise PoiseError(f"{path}: {lacking(error, 'probe')}; {fix}") from None
    check_datasets(name, recipe, also=(plan.test,))
    return plan, recipe


def carry_out(
    recipe: Recipe, name: str, package: Mapping[str, Any], device: torch.device
) -> LabelledObjective:
    """Trains a probe on the stream of views, or continues an interrupted probe.

    Args:
        recipe: recipe whose objective learns from labels.
        name: name of the probe, whose folder ``keep_plan`` created.
        package: config of the probed model's package.
        device: device of the trained objective.

    Returns:
        The objective with the weights of the last checkpoint.

    Raises:
        PoiseError: another process works on the probe, the MLflow store or Ray does not answer, or
            the machine is too small.
    """
    with (
        opened(home() / name) as store,
        session(recipe, name, lambda: _open_run(store, recipe, name, package)) as now,
    ):
        log_recipe(now.run, recipe, dataset_tags(recipe))
        log_environment(now.run)
        observers = [now.run.open_writer, now.progress]
        storage = checkpoint_storage(name)
        spec = RunSpec(recipe, name, storage, observers, datasets=fingerprints(recipe))
        outcome = fit(spec)
    state = new_state(recipe, device)
    load_checkpoint(outcome.checkpoint, state, recipe)
    assert isinstance(state.objective, LabelledObjective)
    return state.objective


def _open_run(store: Store, recipe: Recipe, name: str, package: Mapping[str, Any]) -> Run:
    """Creates the probe's run in MLflow, or finds the existing run by its name."""
    maker, folder = find_maker(package, store), home() / name
    if maker is None:
        return create_run(store, Manifest.read(recipe.data.dataset).name, name, folder)
    experiment_id = store.client.get_run(maker).info.experiment_id
    return create_probe_run(Run(store, maker, experiment_id, str(folder)), name, folder)
