"""Carries out a study, from its first trial to the registered winner.

In: a ``Study``, new or interrupted. Out: a ``StudyResult``. Trials and report are in MLflow and in
the study's folder. Next: the command line, which prints the result.
"""

import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import ray

from poise.cluster.connection import start_ray
from poise.config import Recipe
from poise.config.checkpoint_storage import folders_of_run
from poise.config.locations import Location
from poise.config.paths import home
from poise.config.redaction import redacted
from poise.config.shared_folders import Marks, marked
from poise.config.wording import counted
from poise.data.manifest import Manifest
from poise.reports import Winner, write_report
from poise.runs.node_checks import check_nodes
from poise.runs.outcome import Finished
from poise.runs.progress import ProgressDisplay
from poise.runs.registration import register_finished
from poise.runs.session import opened
from poise.studies.outcomes import best_of
from poise.studies.records import TrialRecord
from poise.studies.study import Study, count_trials
from poise.studies.study_progress import as_they_stand, keep_conclusion
from poise.studies.time_budget import Clock
from poise.studies.trials import Trial
from poise.sweeps.budget import BudgetedQueue, Purse
from poise.sweeps.population import check_at_once, check_conduct
from poise.sweeps.result import StudyResult
from poise.sweeps.step_time import Kind, Pace, pace_lines, paces_of
from poise.sweeps.trial_process import Context
from poise.sweeps.trial_queue import trial_queue
from poise.sweeps.trial_recorder import TrialRecorder
from poise.sweeps.trial_runs import catch_up, seen_history
from poise.sweeps.tune_search import TrialSearcher
from poise.sweeps.tune_setup import CONDUCT, Interruption, concurrency_of, heard_interruption, tuner
from poise.tracking.datasets import dataset_tags
from poise.tracking.ending import controlled
from poise.tracking.links import study_link
from poise.tracking.run import Run, create_study_run, log_environment, log_recipe, set_tags
from poise.tracking.signals import undisturbed


def run_study(study: Study, only: Sequence[Trial] | None = None) -> StudyResult:
    """Carries out the rest of a study, compares its trials and registers the best.

    Args:
        study: new, interrupted or extended study.
        only: trials of the study to run now; the others wait.

    Raises:
        PoiseError: another process runs the study, MLflow or the cluster does not answer, or no
            trial would ever fit on the machine.
        KeyboardInterrupt: the user interrupted the study; all running trials were stopped and
            marked as killed.
    """
    os.environ.update(CONDUCT)  # before Ray starts, because its processes inherit it
    with opened(study.folder) as store:
        start_ray(ends_runs=True)  # a scheduler may end runs, or a trial's process may be killed
        if study.space.scheduler.changes_settings:
            _check_whole(study)
        check_nodes(study.datasets, study.name)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # Poise prints what happens
        dataset = Manifest.read(study.recipe.data.dataset).name
        run = create_study_run(store, dataset, study.name, study.folder)
        with controlled(run), marked(folders_of_run(study.name)) as marks:
            return _carry_out(study, only, run, marks)


def _carry_out(study: Study, only: Sequence[Trial] | None, run: Run, marks: Marks) -> StudyResult:
    study.save()  # with its present state: extended, or with a larger budget
    log_recipe(run, study.recipe, dataset_tags(study.recipe))
    log_environment(run)
    display = ProgressDisplay()
    recorder = TrialRecorder(study, run, partial(_say, display))
    try:
        with display, heard_interruption() as interruption:
            context = Context(study, str(home()), run, display.board, marks)
            lacks = _run_trials(context, only, display, recorder, interruption)
    except BaseException:
        with undisturbed():
            ray.shutdown()  # ends the trials' processes before their runs get a status
            recorder.end_interrupted()
        raise
    catch_up(run, study)
    result = _conclude(study, run, lacks)
    return result if only is None else replace(result, chosen=frozenset(t.name for t in only))


def _check_whole(study: Study) -> None:
    """Raises PoiseError if only a part of a population could train, before anything is created."""
    check_conduct(study)
    if not os.environ.get("RAY_ADDRESS"):  # a cluster may grow
        check_at_once(study, ray.cluster_resources().get("CPU", 0))


def _say(display: ProgressDisplay, line: str) -> None:
    text = f"{time.strftime('%H:%M:%S')} {line}"
    display.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _run_trials(
    context: Context,
    only: Sequence[Trial] | None,
    display: ProgressDisplay,
    recorder: TrialRecorder,
    interruption: Interruption,
) -> str:
    """Runs the trials that fit into the budget.

    Returns the limit of the budget that prevented another trial, or an empty text.
    """
    study, say = context.study, partial(_say, display)
    records, clock = study.records(), Clock(study)
    purse = Purse(study, clock, _paces(study, say))
    queue = BudgetedQueue(trial_queue(study, records, only), purse)
    if queue.peek() is None:
        return queue.lacks
    done = sum(record.is_done for record in records)
    num_left = count_trials(study) - done if only is None else len(only)
    concurrency = min(num_left, concurrency_of(study, say))
    say(f"study {study.name}: {counted(num_left, 'trial')} to run, {concurrency} at once")
    searcher = TrialSearcher(queue, recorder.plan, recorder.settle)
    try:
        with warnings.catch_warnings():
            # Tune recommends `reuse_actors` for pbt; `tuner` explains why it is not used.
            warnings.filterwarnings("ignore", "Consider boosting PBT", UserWarning)
            tuner(context, searcher, recorder, interruption, num_left, concurrency).fit()
    finally:
        clock.keep()
        for left in study.folder.glob("tune-*"):  # also from killed attempts: pickles, never read
            shutil.rmtree(left, ignore_errors=True)
    return queue.lacks


def _paces(study: Study, say: Callable[[str], None]) -> dict[Kind, Pace]:
    """Estimates the time per step if hours are limited, because even the first trials must fit."""
    if study.space.budget.hours is None:
        return {}
    trials = [trial.recipe(study.recipe, study.name) for trial in study.trials]
    paces = paces_of(trials or [study.recipe], may_use_gpu=False)
    for line in pace_lines(paces.values()):
        say(f"budget.hours: {line}")
    return paces


def _conclude(study: Study, run: Run, lacks: str) -> StudyResult:
    records = as_they_stand(study.records(), is_running=False)
    best = best_of(records, *study.space.goal)
    registered = _register(study, run, best) if best is not None else None
    report = write_report(study, run, Winner(best.trial.name, registered) if best else None)
    tags = {
        "poise.best_trial": best.trial.name if best else "none is healthy",
        "poise.registered": registered or "nothing",
        "poise.pareto_front": ", ".join(report.findings.front),
    }
    set_tags(run, tags)
    keep_conclusion(
        study, records
    )  # last: if the process is killed before, a resumed study repeats the conclusion
    link = study_link(run.store, run.run_id, study.space.goal.metric)
    return StudyResult(
        study, tuple(records), best, registered, report, redacted(run.store.uri), link, lacks
    )


def _register(study: Study, run: Run, best: TrialRecord) -> str:
    assert best.verdict is not None and best.checkpoint is not None and best.run_id is not None
    recipe: Recipe = best.current.recipe(study.recipe, study.name)
    history = seen_history(run, best)
    finished = Finished(best.run_id, Location.of(best.checkpoint), best.verdict, history)
    return register_finished(run.store, recipe, finished, study.space.goal.metric)
