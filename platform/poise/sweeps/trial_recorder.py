"""Records how trials wait and end, in the study's own process.

In: Tune's callbacks about its trials. Out: an MLflow run for each planned trial, and a record and a
status for each ended trial. Trials whose process was killed also get a record and a status. Next:
``poise.reports``.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ray.tune import Callback

from poise.config import PoiseError
from poise.config.checkpoint_storage import checkpoint_storage
from poise.config.keys import leaves
from poise.config.wording import metric_name, unit
from poise.diagnostics.history import History, newest_metrics
from poise.diagnostics.judge import VerdictKind, judge
from poise.studies.findings.factor_words import failure
from poise.studies.labels import describe, described
from poise.studies.number_format import bare, decimals_for
from poise.studies.outcomes import FAILURES
from poise.studies.records import Change, TrialRecord
from poise.studies.study import Study
from poise.studies.trials import Trial
from poise.sweeps.trial_runs import end_run, kept_history, seen_history, trial_run
from poise.tracking.run import Run, plan_trial_run

DIED = "its process died twice without a new checkpoint in between; perhaps memory ran out"

_KNN = "eval/knn_top1"


class TrialRecorder(Callback):  # type: ignore[misc]
    """Tune callback that prints how trials start and end, and records each trial's end.

    Args:
        study: study of the trials.
        run: MLflow run of the study.
        say: function that shows one line to the user.
    """

    def __init__(self, study: Study, run: Run, say: Callable[[str], None]) -> None:
        self.run = run
        self._study, self._say = study, say
        self._started_s: dict[str, float] = {}
        self._planned: dict[str, str] = {}  # trial → its run

    def __getstate__(self) -> dict[str, Any]:
        """Drops the console callback, because Tune pickles its callbacks."""
        return {**self.__dict__, "_say": None}

    def plan(self, trial: Trial) -> None:
        """Creates an MLflow run for a waiting trial.

        If this fails, the trial's own process creates the run.
        """
        try:
            recipe = trial.recipe(self._study.recipe, self._study.name)
            values = dict(leaves(recipe.model_dump(mode="json")))
            settings = {key: values[key] for key in (*trial.settings, "seed") if key in values}
            self._planned[trial.name] = plan_trial_run(self.run, trial.name, settings)
        except PoiseError as error:
            self._say(f"{trial.name}  is not in MLflow yet: {error}")

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Prints the settings of the trial that starts."""
        settings = {**trial.config["settings"], "seed": trial.config["seed"]}
        name = trial.config["name"]
        record = self._study.record(name)
        if record is not None and record.state == "running":  # an attempt was paused or lost
            self._study.write(replace(record, seconds=record.seconds + self._take_seconds(name)))
        self._started_s[name] = time.monotonic()
        self._say(f"{name}  {'starts' if record is None else 'continues'}: {describe(settings)}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Prints how the trial ended."""
        self._tell(self.settle(trial.config["name"]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Prints that the trial's process died. If the trial has no record, writes one."""
        record = self.settle(trial.config["name"], died=True)
        if record is None:
            run_id = self._planned.get(trial.config["name"])
            record = TrialRecord(Trial(**trial.config), "failed", run_id, reason=DIED)
            self._study.write(record)
            with self._or_later(record):
                end_run(self.run, self._study, record, "FAILED")
        self._tell(record)

    def exchange(self, name: str, change: Change) -> None:
        """Records that a trial will start again from another trial's checkpoint.

        If the trial has ended in the meantime, its record does not change.
        """
        record = self._study.record(name)
        if record is None or record.is_done:
            return
        # Tune knows the checkpoint's path in its file system, without the storage.
        place = checkpoint_storage(self._study.name).of_path(change.checkpoint)
        change = replace(change, checkpoint=str(place))
        record = replace(record, state="running", changes=(*record.changes, change))
        self._study.write(replace(record, seconds=record.seconds + self._take_seconds(name)))
        self._say(f"{name}  changes: {described([change])}")

    def settle(
        self, name: str, died: bool = False, result: Mapping[str, Any] | None = None
    ) -> TrialRecord | None:
        """Returns the final record of a trial that no longer runs; None if it never began.

        If the record's state is still "running", either the scheduler stopped the trial or its
        process died.

        Args:
            name: name of the trial.
            died: whether the trial's process died.
            result: last report of the trial. A trial may be stopped before it has logged this
                report.
        """
        record = self._study.record(name)
        if record is None or record.state != "running":
            return record
        self._store_last(record, result or {})
        seen, is_stored = self._seen(record)
        record = with_seen(self._timed(record), seen)
        record = (
            replace(record, state="failed", reason=DIED) if died else self._stopped(record, seen)
        )
        self._study.write(record)
        if is_stored:
            with self._or_later(record):
                end_run(self.run, self._study, record, "FAILED" if died else "FINISHED")
        return record

    def end_interrupted(self) -> None:
        """Marks the MLflow runs of interrupted trials as killed.

        Call it after their processes have ended.

        Also records the trials' time and steps, because both count for the budget. The first time
        that MLflow does not answer, the function returns. The next Poise command then marks the
        remaining runs.
        """
        running = [self._timed(each) for each in self._study.records() if each.state == "running"]
        for record in running:
            self._study.write(with_seen(record, kept_history(self._study, record)))
        for record in running:
            seen, is_stored = self._seen(record)
            if not is_stored:
                return
            self._study.write(with_seen(record, seen))
            with self._or_later(record):
                end_run(self.run, self._study, record, "KILLED")

    def _seen(self, record: TrialRecord) -> tuple[History, bool]:
        """Returns a trial's logged metrics, and True if they come from MLflow."""
        with self._or_later(record):
            return seen_history(self.run, record), True
        return kept_history(self._study, record), False

    @contextmanager
    def _or_later(self, record: TrialRecord) -> Iterator[None]:
        """Prints a message if MLflow does not answer in the block.

        ``catch_up`` sends the data later.
        """
        try:
            yield
        except PoiseError as error:
            self._say(f"{record.trial.name}  is not up to date in MLflow yet: {error}")

    def _timed(self, record: TrialRecord) -> TrialRecord:
        """Adds to a trial's record the seconds since the trial started."""
        return replace(record, seconds=record.seconds + self._take_seconds(record.trial.name))

    def _take_seconds(self, name: str) -> float:
        """Returns the seconds since a trial started, and deletes the start time.

        A second call returns 0.
        """
        now_s = time.monotonic()
        return now_s - self._started_s.pop(name, now_s)

    def _store_last(self, record: TrialRecord, result: Mapping[str, Any]) -> None:
        metrics = {k: v for k, v in result.items() if "/" in k and isinstance(v, int | float)}
        if record.run_id is not None and metrics:
            again = bool(record.changes)
            writer = trial_run(self.run, self._study, record).open_writer(again=again)
            writer.log(int(result["step"]), metrics)
            writer.close()

    def _stopped(self, record: TrialRecord, seen: History) -> TrialRecord:
        recipe = record.trial.recipe(self._study.recipe, self._study.name)
        verdict = judge(seen, recipe.signals, record.planned_steps)
        by = self._study.space.scheduler.name
        return replace(record, state="stopped", stopped_by=by, verdict=verdict)

    def _tell(self, record: TrialRecord | None) -> None:
        if record is not None:
            self._say(f"{record.trial.name}  {ending(record, self._study.space.goal.metric)}")


def ending(record: TrialRecord, metric: str) -> str:
    """Describes in one line how a trial ended, with its k-NN accuracy and the study's metric."""
    if record.state == "failed" or record.verdict is None:
        how = "ended with an error" if record.state == "failed" else record.outcome
        return f"{how}: {record.reason}"
    figures = "".join(
        f"; {metric_name(name)} {bare(value, decimals_for(name, [value]))}{unit(name)}"
        for name in dict.fromkeys((_KNN, metric))
        if (value := record.metrics.get(name)) is not None
    )
    verdict, at = record.verdict, f"at step {record.step}"
    since = "" if verdict.onset_step is None else f" since step {verdict.onset_step}"
    if record.stopped_by is not None:
        at = f"stopped by {record.stopped_by} {at} of {record.total_steps}"
    else:
        at = f"ended {at}"
    return f"{_outcome_words(verdict.kind)}{since}; {at}{figures}. {verdict.evidence}"


def _outcome_words(kind: VerdictKind) -> str:
    return failure(kind) if kind in FAILURES else str(kind)


def with_seen(record: TrialRecord, seen: History) -> TrialRecord:
    """Updates a record with the newest step and metrics of the logged history."""
    step = max(record.step, seen[-1][0] if seen else 0)
    return replace(record, metrics=newest_metrics(seen) or record.metrics, step=step)
