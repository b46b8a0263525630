"""Carries out one tracked pretraining, from recipe to verdict: training, probes and MLflow.

In: a recipe and its run's name. Out: a ``Finished``; everything is also in MLflow. Next:
``poise.sweeps``, which carries out many, and ``poise pretrain``, which prints one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from poise.config import Recipe
from poise.config.paths import home
from poise.data.manifest import Manifest
from poise.data.views.normalization import normalization
from poise.evaluation.during_training import OnlineProbes, online_probes
from poise.evaluation.untrained_cache import RememberedProbe
from poise.models.package import save_backbone
from poise.runs.ending import how_it_ended, over_line, steps_kept
from poise.runs.initial_weights import described, kept_or_found, lineage_of, read, tags_of
from poise.runs.outcome import Finished, judged, log_finished, register_finished
from poise.runs.session import opened, session
from poise.tracking.datasets import dataset_tags
from poise.tracking.history import find_finished
from poise.tracking.run import Run, create_run, log_environment, log_recipe, set_tags
from poise.tracking.store import open_store
from poise.training.datasets import fingerprints
from poise.training.in_process import fit_in_process
from poise.training.observer import RunObserver
from poise.training.schedule import timetable_of
from poise.training.spec import Probe, RunSpec, StartingPoint
from poise.training.worker import fit

ANSWERS_FILE = "start_answers.json"
"""File beside a run that keeps what the model that it starts from answers."""


def carry_out(recipe: Recipe, name: str, say: Callable[[str], None]) -> Finished:
    """Carries out a run in the folder that ``folder.begin`` created, or the rest of such a run.

    If the run is over, it is only judged again; neither Ray nor training starts.

    Args:
        recipe: recipe of the run.
        name: name of the run, which is its folder under ``home()``.
        say: function that shows one line to the user.

    Raises:
        PoiseError: another process works on the run, the store or Ray does not answer, the machine
            is too small, or training found an error that the user can fix.
    """
    folder = home() / name
    with opened(folder) as store:
        finished_id = find_finished(store, name, folder)
        ended = how_it_ended(recipe, name, finished_id) if finished_id else None
        if ended is not None:
            say(over_line(recipe, name, ended))
            return ended
        experiment = Manifest.read(recipe.data.dataset).name
        with session(recipe, name, lambda: create_run(store, experiment, name, folder)) as now:
            say(_first_line(recipe, name))
            start = read(folder)
            for line in described(start) if start is not None and not steps_kept(name) else ():
                say(line)
            return pretrain(recipe, now.run, name, Extras(observers=[now.progress]))


def _first_line(recipe: Recipe, name: str) -> str:
    steps, kept = timetable_of(recipe).total_steps, steps_kept(name)
    done = f", {kept} of them done" if kept else ""
    return f"run {name}: {steps} steps of {recipe.training.batch_size} images{done}"


@dataclass(frozen=True)
class Extras:
    """Parts of a run in addition to its recipe."""

    observers: Sequence[Callable[[], RunObserver]] = ()
    """Observers in addition to the metric writer."""

    callbacks: Sequence[Any] = ()
    """Callbacks of Ray Train."""

    start_from: StartingPoint | None = None
    """Checkpoint of another run to start from."""

    in_process: bool = False
    """Whether this process trains by itself, without a worker on Ray Train."""

    untrained_figures: Path | None = None
    """Folder with the metrics of untrained networks. Runs that may begin with the same network
    share it.
    """

    lineage: Mapping[str, Any] = field(default_factory=dict)
    """Entries to add to the lineage in the backbone's package."""


def pretrain(recipe: Recipe, run: Run, name: str, extras: Extras | None = None) -> Finished:
    """Trains, tracks and judges one run.

    If the name belongs to an interrupted run, it continues that run.

    Args:
        recipe: recipe of the run.
        run: run in MLflow; the caller sets its status.
        name: folder of the run under ``home()``.
        extras: observers and other parts in addition to the recipe.
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
    probe = online_probes(recipe, answers)
    carry = fit_in_process if extras.in_process else fit
    outcome = carry(
        RunSpec(
            recipe=recipe,
            name=name,
            storage=home(),
            datasets=fingerprints(recipe),
            observers=[run.open_writer, *extras.observers],
            probe=probe,
            first_probe=_first_probe(recipe, probe, extras.untrained_figures),
            initial_weights=start,
            export=partial(save_backbone, config=config),
            callbacks=extras.callbacks,
            start_from=extras.start_from,
        )
    )
    timetable = timetable_of(recipe)
    finished = judged(run.run_id, outcome, recipe, timetable)
    log_finished(run, finished, recipe, timetable.total_steps)
    return finished


def _first_probe(recipe: Recipe, probe: OnlineProbes | None, known: Path | None) -> Probe | None:
    """The probe of the network before its first step; none where ``probe`` itself will do."""
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
            "dataset": str(Path(recipe.data.dataset).absolute()),
            "dataset_name": manifest.name,
            "dataset_fingerprint": manifest.fingerprint,
        },
    }


def register_if_healthy(recipe: Recipe, finished: Finished) -> str | None:
    """Registers the backbone of a healthy run. Returns ``models:/name/version``, or None."""
    return register_finished(open_store(), recipe, finished) if finished.is_healthy else None
