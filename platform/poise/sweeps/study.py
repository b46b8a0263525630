"""A study, from its first trial to the registered winner.

In: a ``Study``, new or interrupted. Out: a ``StudyResult``; trials and comparison are in MLflow
and in the study's folder. Next: the command line, which prints it.
"""

import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.progress_reporter import TrialProgressCallback

from poise.config import Recipe
from poise.config.paths import home
from poise.data.manifest import Manifest
from poise.data.ray_runtime import start_ray
from poise.sweeps.budget import Budgeted, Clock, Purse
from poise.sweeps.front import pareto_front
from poise.sweeps.interruption import Interruption, heard_interruption
from poise.sweeps.outcomes import best_of
from poise.sweeps.pace import Kind, Pace, pace_lines, paces_of
from poise.sweeps.population import check_at_once, check_conduct
from poise.sweeps.records import Study, TrialRecord
from poise.sweeps.referee import Referee, seen_history
from poise.sweeps.report import write_report
from poise.sweeps.searching import TrialSearcher, scheduler
from poise.sweeps.settings import Trial
from poise.sweeps.sources import count_trials, trial_source
from poise.sweeps.standing import told
from poise.sweeps.trial import Context, total_steps_of, trainable
from poise.tracking.ending import controlled, reconcile
from poise.tracking.links import Link, study_link
from poise.tracking.pretraining import Finished, register_finished
from poise.tracking.runs import Run, create_study_run, log_environment, log_recipe, set_tags
from poise.tracking.store import open_store, redacted
from poise.training.capacity import check_fits, cpus_needed
from poise.training.progress import ProgressDisplay

_CONDUCT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # whose banner `verbose=0` does not silence
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow has the metrics
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that fails early has measured nothing
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is answered here, as everywhere in Poise
}


@dataclass(frozen=True)
class StudyResult:
    """A study that ended by itself."""

    study: Study
    records: tuple[TrialRecord, ...]
    best: TrialRecord | None
    """Of the healthy trials that trained to their end; none where there is none."""

    registered: str | None
    """``models:/name/version`` of the best."""

    report: Path
    store_uri: str
    link: Link
    lacks: str = ""
    """The limit of the budget that left no room for another trial: ``budget.trials=4``."""

    @property
    def num_waiting(self) -> int:
        """Trials of the study that have not begun, or were interrupted."""
        ended = sum(record.is_done or record.state == "failed" for record in self.records)
        return count_trials(self.study) - ended

    @property
    def front(self) -> list[TrialRecord]:
        """Trials that no other beats in every metric; of one metric, the best."""
        return pareto_front(self.records, self.study.space.goals)

    @property
    def next_commands(self) -> list[str]:
        """What a person may want to do now."""
        commands = [self.link.command] if self.link.command else []
        if self.registered is not None:
            name = self.registered.removeprefix("models:/")
            queries = self.study.recipe.evaluation.queries or self.study.recipe.data.dataset
            commands.append(f"{_program()} models show {name}")
            commands.append(f"{_program()} evaluate knn {self.registered} {_short(queries)}")
        if self.num_waiting or any(record.state == "failed" for record in self.records):
            limit = self.lacks.partition("=")[0]
            enough = count_trials(self.study) if limit == "budget.trials" else "MORE"
            more = f" {limit}={enough}" if limit else ""
            commands.append(f"{_program()} {self.study.command} --resume {self.study.name}{more}")
        return commands


def run_study(study: Study, only: Sequence[Trial] | None = None) -> StudyResult:
    """Carries out what is left of a study, compares its trials and registers the best.

    Args:
        study: new, interrupted or extended.
        only: of its trials, those to run now; the others go on waiting.

    Raises:
        PoiseError: the store or the cluster does not answer, or no trial would ever fit.
        KeyboardInterrupt: after everything that ran was stopped and marked as killed.
    """
    os.environ.update(_CONDUCT)  # before Ray starts, whose processes inherit it
    start_ray(ends_runs=True)  # by a scheduler, or because a trial's process was killed
    if study.space.scheduler.changes_settings:
        _check_whole(study)
    store = open_store()
    reconcile(store)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what happens to trials is told here
    manifest = Manifest.read(study.recipe.data.dataset)
    run = create_study_run(store, manifest.name, study.name, study.folder)
    with controlled(run):
        study.save()  # as it is carried out now: extended, or with a larger budget
        log_recipe(run, study.recipe, manifest.name, manifest.fingerprint)
        log_environment(run)
        display = ProgressDisplay()
        referee = Referee(study, run, partial(_say, display))
        try:
            with display, heard_interruption() as interruption:
                lacks = _run_trials(study, only, display, referee, interruption)
        except BaseException:
            ray.shutdown()  # ends the trials' processes, before their runs are given a status
            referee.end_interrupted()
            raise
        return _conclude(study, run, lacks)


def _check_whole(study: Study) -> None:
    """Refuses to train a part of a population, before anything is created."""
    check_conduct(study)
    if not os.environ.get("RAY_ADDRESS"):  # a cluster may grow
        check_at_once(study, ray.cluster_resources().get("CPU", 0))


def _say(display: ProgressDisplay, line: str) -> None:
    text = f"{time.strftime('%H:%M:%S')} {line}"
    display.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _run_trials(
    study: Study,
    only: Sequence[Trial] | None,
    display: ProgressDisplay,
    referee: Referee,
    interruption: Interruption,
) -> str:
    """Runs what there is room for; returns the limit that ended it, where one did."""
    say, records, clock = partial(_say, display), study.records(), Clock(study)
    purse = Purse(study, clock, _paces(study, say))
    source = Budgeted(trial_source(study, records, only), purse)
    if source.peek() is None:
        return source.lacks
    done = sum(record.is_done for record in records)
    num_left = count_trials(study) - done if only is None else len(only)
    concurrency = min(num_left, _concurrency(study, say))
    say(f"study {study.name}: {num_left} trials to run, {concurrency} at once")
    searcher = TrialSearcher(source, referee.plan, referee.settle)
    context = Context(study, str(home()), referee.run, display.board)
    try:
        with warnings.catch_warnings():
            # Tune would have `reuse_actors` beside pbt: see `_tuner`.
            warnings.filterwarnings("ignore", "Consider boosting PBT", UserWarning)
            _tuner(context, searcher, referee, interruption, num_left, concurrency).fit()
    finally:
        clock.keep()
        for left in study.folder.glob("tune-*"):  # by killed attempts too: pickles, never read
            shutil.rmtree(left, ignore_errors=True)
    return source.lacks


def _paces(study: Study, say: Callable[[str], None]) -> dict[Kind, Pace]:
    """How long steps take, where hours are counted: the first trials need room as well."""
    if study.space.budget.hours is None:
        return {}
    trials = [trial.recipe(study.recipe, study.name) for trial in study.trials]
    paces = paces_of(trials or [study.recipe], may_use_gpu=False)
    for line in pace_lines(paces.values()):
        say(f"budget.hours: {line}")
    return paces


def _tuner(
    context: Context,
    searcher: TrialSearcher,
    referee: Referee,
    interruption: Interruption,
    num_trials: int,
    concurrency: int,
) -> tune.Tuner:
    study = context.study
    return tune.Tuner(
        trainable(context),
        tune_config=tune.TuneConfig(
            metric=study.space.goal.metric,
            mode=study.space.goal.mode,
            search_alg=searcher,
            scheduler=scheduler(
                study.space, total_steps_of(study.recipe), study.source, referee.exchange
            ),
            num_samples=num_trials,
            max_concurrent_trials=concurrency,
            # A trial's process takes seconds to import its libraries; but one whose trial was
            # stopped is still busy with it, and Tune would fail the next trial for that.
            reuse_actors=not study.space.scheduler.stops_trials,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=f"tune-{time.strftime('%Y%m%d-%H%M%S')}",
            storage_path=str(study.folder),
            callbacks=[referee, interruption, _Silent()],
            failure_config=tune.FailureConfig(max_failures=1),  # of processes; see `carry_out`
            verbose=0,
        ),
    )


class _Silent(TrialProgressCallback):  # type: ignore[misc]
    """Stands where Tune would put the callback that prints; Poise says what happens to trials."""

    def _print(self, msg: str) -> None:
        pass

    def log_result(self, *_: Any, **__: Any) -> None:
        """Nothing."""


def _name(trial: Any) -> str:
    return str(trial.config["name"])


def _concurrency(study: Study, say: Any) -> int:
    """How many trials to run at once: what was asked for, but no more than fit this machine.

    On a cluster that others started, nodes may come and go; there the scheduler sorts it out.
    """
    wanted = study.space.concurrency
    if os.environ.get("RAY_ADDRESS"):
        return wanted
    check_fits(study.recipe)
    cpus = ray.cluster_resources().get("CPU", 0)
    fit = int(cpus // cpus_needed(study.recipe))
    if fit < wanted:
        say(f"concurrency={wanted}, but only {fit} at once: this machine has {cpus:g} CPUs")
    return min(fit, wanted)


def _conclude(study: Study, run: Run, lacks: str) -> StudyResult:
    records = told(study.records(), is_running=False)
    best = best_of(records, *study.space.goal)
    registered = _register(study, run, best) if best is not None else None
    front = pareto_front(records, study.space.goals)
    tags = {
        "poise.best_trial": best.trial.name if best else "none is healthy",
        "poise.registered": registered or "nothing",
        "poise.pareto_front": ", ".join(record.trial.name for record in front),
    }
    set_tags(run, tags)
    report = write_report(study, run)
    link = study_link(run.store, run.run_id, study.space.goal.metric)
    return StudyResult(
        study, tuple(records), best, registered, report.page, redacted(run.store.uri), link, lacks
    )


def _register(study: Study, run: Run, best: TrialRecord) -> str:
    assert best.verdict is not None and best.checkpoint is not None and best.run_id is not None
    recipe: Recipe = best.current.recipe(study.recipe, study.name)
    history = seen_history(run, best)
    finished = Finished(best.run_id, Path(best.checkpoint), best.verdict, history)
    return register_finished(run.store, recipe, finished, study.space.goal.metric)


def _program() -> str:
    """How a person starts Poise here: by its path where its environment is not active."""
    return "poise" if shutil.which("poise") else _short(str(Path(sys.executable).parent / "poise"))


def _short(path: str) -> str:
    """A path as a person would type it here."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path
