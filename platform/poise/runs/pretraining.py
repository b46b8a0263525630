"""Carries out one pretraining run: training, probes, the verdict, and all records in MLflow.

In: a recipe and the name of its run. Out: a ``Finished``, whose content is also in MLflow. Next:
``poise.sweeps`` carries out many runs, and ``poise pretrain`` prints one run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from poise.config import Recipe
from poise.config.checkpoint_storage import checkpoint_storage
from poise.config.locations import Location
from poise.config.paths import home
from poise.data.manifest import Manifest
from poise.data.views.normalization import normalization
from poise.evaluation.answers_per_image import ENDING
from poise.evaluation.during_training import OnlineProbes, online_probes
from poise.evaluation.untrained_cache import RememberedProbe
from poise.models.package import save_backbone
from poise.runs.ending import how_it_ended, over_line, steps_kept
from poise.runs.initial_weights import described, kept_or_found, lineage_of, read, tags_of
from poise.runs.outcome import Finished, judged, log_finished
from poise.runs.session import opened, session, session_here
from poise.tracking.datasets import dataset_tags
from poise.tracking.history import find_finished
from poise.tracking.run import Run, create_run, log_environment, log_files, log_recipe, set_tags
from poise.training.datasets import fingerprints
from poise.training.in_process import fit_in_process
from poise.training.observer import RunObserver
from poise.training.schedule import timetable_of
from poise.training.spec import Probe, RunSpec, StartingPoint
from poise.training.worker import fit

ANSWERS_FILE = "start_answers.json"
"""Name of the file in a run's folder with the k-NN answers of the model that the run starts from.
"""

LAST_ANSWERS_FILE = f"training{ENDING}"
"""Name of the file in a run's folder with the k-NN answers of the latest evaluation."""


def carry_out(
    recipe: Recipe, name: str, say: Callable[[str], None], in_process: bool = False
) -> Finished:
    """Carries out a run in the folder that ``folder.begin`` created, or continues it.

    If the run is over, it is only judged again. Then neither Ray nor training starts.

    Args:
        recipe: recipe of the run.
        name: name of the run. Its folder under ``home()`` has the same name.
        say: function that shows one line to the user.
        in_process: whether this process trains with one worker and without Ray. This suits
            notebooks and debuggers, and gives the same weights.

    Raises:
        PoiseError: another process works on the run, the MLflow store or Ray does not answer, the
            machine is too small, or training found an error that the user can fix.
    """
    folder = home() / name
    with opened(folder) as store:
        finished_id = find_finished(store, name, folder)
        ended = how_it_ended(recipe, name, finished_id) if finished_id else None
        if ended is not None:
            say(over_line(recipe, name, ended))
            return ended
        experiment = Manifest.read(recipe.data.dataset).name
        prepared = partial(session_here, say) if in_process else session
        with prepared(recipe, name, lambda: create_run(store, experiment, name, folder)) as now:
            say(_first_line(recipe, name))
            start = read(folder)
            for line in described(start) if start is not None and not steps_kept(name) else ():
                say(line)
            extras = Extras([now.progress], in_process=in_process, say=now.say)
            return pretrain(recipe, now.run, name, extras)


def _first_line(recipe: Recipe, name: str) -> str:
    steps, kept = timetable_of(recipe).total_steps, steps_kept(name)
    done = f", {kept} of them done" if kept else ""
    return f"run {name}: {steps} steps of {recipe.training.batch_size} images{done}"


@dataclass(frozen=True)
class Extras:
    """Optional arguments of a run that are not in its recipe."""

    observers: Sequence[Callable[[], RunObserver]] = ()
    """Functions that each make an observer, in addition to the observer that writes metrics."""

    callbacks: Sequence[Any] = ()
    """Callbacks that are passed to Ray Train."""

    start_from: StartingPoint | None = None
    """Checkpoint of another run to start from."""

    in_process: bool = False
    """Whether this process trains by itself, without a worker of Ray Train."""

    untrained_figures: Path | None = None
    """Folder that caches the metrics of untrained networks.

    Runs that may begin with the same random network share this folder.
    """

    say: Callable[[str], None] | None = None
    """Function that shows one line to the user, from any process. None shows nothing."""

    lineage: Mapping[str, Any] = field(default_factory=dict)
    """Entries to add to the lineage in the backbone's package."""


def pretrain(recipe: Recipe, run: Run, name: str, extras: Extras | None = None) -> Finished:
    """Trains and judges one run, and records it in MLflow.

    If the name belongs to an interrupted run, that run continues.

    Args:
        recipe: recipe of the run.
        run: MLflow run. The caller sets its status.
        name: name of the run's folder under ``home()``.
        extras: observers and other options in addition to the recipe.
    """
    extras = extras or Extras()
    log_recipe(run, recipe, dataset_tags(recipe))
    log_environment(run)
    config = package_config(recipe, Manifest.read(recipe.data.dataset), run.run_id)
    start = kept_or_found(recipe, home() / name)
    if start is not None:
        config["lineage"] |= lineage_of(start)
        set_tags(run, tags_of(start))
    config["lineage"] |= extras.lineage
    answers = home() / name / ANSWERS_FILE if start is not None else None
    last_answers = home() / name / LAST_ANSWERS_FILE
    probe = online_probes(recipe, answers, last_answers)
    carry = fit_in_process if extras.in_process else fit
    outcome = carry(
        RunSpec(
            recipe=recipe,
            name=name,
            storage=checkpoint_storage(name),
            datasets=fingerprints(recipe),
            observers=[
                partial(run.open_writer, again=extras.start_from is not None),
                *extras.observers,
            ],
            probe=probe,
            first_probe=_first_probe(recipe, probe, extras.untrained_figures),
            initial_weights=start,
            export=partial(save_backbone, config=config),
            callbacks=extras.callbacks,
            say=extras.say,
            start_from=extras.start_from,
        )
    )
    timetable = timetable_of(recipe)
    finished = judged(run.run_id, outcome, recipe, timetable)
    log_finished(run, finished, recipe, timetable.total_steps)
    if last_answers.is_file():
        log_files(run, [last_answers], "probes/training")  # compared with other models' answers
    return finished


def _first_probe(recipe: Recipe, probe: OnlineProbes | None, known: Path | None) -> Probe | None:
    """Makes the probe for the step before training, or None if the usual probe also runs there."""
    if probe is None:
        return None
    if recipe.backbone.initial_weights is not None:
        return probe.at_start
    return RememberedProbe(probe, known, recipe) if known else None


def package_config(recipe: Recipe, manifest: Manifest, run_id: str) -> dict[str, Any]:
    """Makes the config of a backbone's package: architecture, normalisation and lineage."""
    mean, std = normalization(recipe.data.views, manifest)
    return {
        "backbone": recipe.backbone.described,
        "image_px": recipe.data.views.global_px,
        "evaluation_px": recipe.evaluation_px,
        "normalization": {"mean": list(mean), "std": list(std)},
        "lineage": {
            "run_id": run_id,
            "recipe": recipe.name,
            "objective": recipe.objective.name,
            "dataset": str(Location.of(recipe.data.dataset).absolute()),
            "dataset_name": manifest.name,
            "dataset_fingerprint": manifest.fingerprint,
        },
    }
