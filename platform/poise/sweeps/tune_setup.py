"""Sets up Ray Tune: its options, and how many trials run at once.

In: a study and the callbacks for its trials. Out: a ``Tuner``. Next: ``poise.sweeps.runner``.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray import tune
from ray.tune import Callback
from ray.tune.progress_reporter import TrialProgressCallback

from poise.studies.study import Study
from poise.sweeps.restarts import DEATHS_WITHOUT_PROGRESS, Restarts
from poise.sweeps.trial_process import Context, trainable
from poise.sweeps.trial_recorder import TrialRecorder
from poise.sweeps.tune_search import TrialSearcher, scheduler
from poise.training.capacity import check_fits, cpus_needed
from poise.training.schedule import total_steps_of

CONDUCT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # otherwise Tune prints a banner even with `verbose=0`
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow has the metrics
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that fails early has no metric
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Poise handles Ctrl-C itself
}
"""Environment variables that set Tune's behaviour. They must be set before Ray starts."""


class Interruption(Callback):  # type: ignore[misc]
    """Tune callback that stops a study which the user has interrupted."""

    asked = False

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Raises KeyboardInterrupt if the user has interrupted the study."""
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def heard_interruption() -> Iterator[Interruption]:
    """Records Ctrl-C in the block, in addition to its usual effect.

    Works only in the main thread.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    previous = signal.getsignal(signal.SIGINT)

    def hear(number: int, frame: Any) -> None:
        interruption.asked = True
        if callable(previous):
            previous(number, frame)

    signal.signal(signal.SIGINT, hear)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, previous)


def tuner(
    context: Context,
    searcher: TrialSearcher,
    recorder: TrialRecorder,
    interruption: Interruption,
    num_trials: int,
    concurrency: int,
) -> tune.Tuner:
    """Makes the ``Tuner`` that runs the remaining trials."""
    study = context.study
    return tune.Tuner(
        trainable(context),
        tune_config=tune.TuneConfig(
            metric=study.space.goal.metric,
            mode=study.space.goal.mode,
            search_alg=searcher,
            scheduler=scheduler(
                study.space, total_steps_of(study.recipe), study.source, recorder.exchange
            ),
            num_samples=num_trials,
            max_concurrent_trials=concurrency,
            # Reusing a trial's process saves seconds of imports. But if a trial was stopped, its
            # process is still busy, and Tune would make the next trial fail because of it.
            reuse_actors=not study.space.scheduler.stops_trials,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=f"tune-{time.strftime('%Y%m%d-%H%M%S')}",
            storage_path=str(study.folder),
            callbacks=[Restarts(study), recorder, interruption, _Silent()],
            # For lost processes only: a trial that fails returns. ``Restarts`` raises this number.
            failure_config=tune.FailureConfig(max_failures=DEATHS_WITHOUT_PROGRESS),
            verbose=0,
        ),
    )


class _Silent(TrialProgressCallback):  # type: ignore[misc]
    """Callback that silences Tune's progress output, because Poise prints its own."""

    def _print(self, msg: str) -> None:
        pass

    def log_result(self, *_: Any, **__: Any) -> None:
        """Prints nothing."""


def _name(trial: Any) -> str:
    return str(trial.config["name"])


def concurrency_of(study: Study, say: Callable[[str], None]) -> int:
    """Returns how many trials run at once: the requested number, or fewer if this machine is small.

    On a cluster (RAY_ADDRESS) nodes may join or leave. So the requested number is returned, and Ray
    decides when each trial starts.
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
