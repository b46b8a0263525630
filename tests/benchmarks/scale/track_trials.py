"""How long tracking takes in a study of 1,000 trials, from its first run to its last status.

    python tests/benchmarks/scale/track_trials.py [TRIALS]

Every trial is planned, begun, logged and ended by the functions that real trials use, on SQLite. It
logs 14 metrics at 20 steps. The baseline in the same run is MLflow's client alone: it creates a
run, stores the same points in one request for each step, and sets the status, for a tenth of the
trials.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # run as a script, not as a module

from mlflow.entities import Metric

from poise.tracking.ending import finish
from poise.tracking.history import read_histories, read_trial_statuses
from poise.tracking.run import Run, create_study_run, create_trial_run, plan_trial_run
from poise.tracking.store import open_store

METRICS, STEPS = 14, 20
VALUES = {f"metric/{index}": float(index) for index in range(METRICS)}


def main() -> None:
    """Tracks the trials and prints what each part takes."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        os.environ["POISE_HOME"] = folder
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        study = create_study_run(open_store(), "scenes", "many", Path(folder) / "many")
        bare = max(1, count // 10)
        alone_s = _seconds(partial(_track_alone, study, bare)) / bare
        for index in range(count):
            plan_trial_run(study, f"t{index}-s0", {"optimizer.base_lr": index})
        first_s, *_, last_s = (_seconds(partial(_track_all, study, x)) for x in _tenths(count))
        per_trial = max(1, count // 10)
        print(f"a trial: {first_s / per_trial * 1000:.0f} ms at the beginning, "
              f"{last_s / per_trial * 1000:.0f} ms at the end, "
              f"MLflow's client alone {alone_s * 1000:.0f} ms "
              f"({last_s / per_trial / alone_s:.2f}×)")  # fmt: skip
        statuses: dict[str, str] = {}
        listing_s = _seconds(lambda: statuses.update(read_trial_statuses(study)))
        reading_s = _seconds(lambda: read_histories(study.store, list(statuses)))
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        done = sum(status == "FINISHED" for status in statuses.values())
        print(f"{done} of {count} trials are FINISHED; statuses read in {listing_s:.2f} s, "
              f"all metrics in {reading_s:.2f} s, peak memory {peak_mb:.0f} MiB")  # fmt: skip


def _tenths(count: int) -> list[range]:
    size = max(1, count // 10)
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _track_all(study: Run, indices: range) -> None:
    for index in indices:
        _track(study, index)


def _track(study: Run, index: int) -> None:
    run = create_trial_run(study, f"t{index}-s0", Path(study.folder) / f"t{index}-s0")
    with closing(run.open_writer()) as writer:
        for step in range(STEPS):
            writer.log(step, VALUES)
    finish(run, "FINISHED")


def _track_alone(study: Run, count: int) -> None:
    client = study.store.client
    for _ in range(count):
        run_id = client.create_run(study.experiment_id).info.run_id
        for step in range(STEPS):
            metrics = [Metric(name, value, 1000, step) for name, value in VALUES.items()]
            client.log_batch(run_id, metrics=metrics)
        client.set_terminated(run_id)


def _seconds(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


if __name__ == "__main__":
    main()
