"""How long the report of a large study takes, read from MLflow on SQLite and written as a page.

    python tests/benchmarks/bench_report.py

The study never ran: its records, its runs and 14 metrics of 200 steps each are stored as a study
leaves them. The baseline of the reading is what MLflow's client offers, one metric of one run at a
time, for the same metrics of a twentieth of the runs.
"""

import os
import sqlite3
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module

from poise.reports import write_report
from poise.studies.analysis.curves import LABELS
from poise.studies.study import Study
from poise.tracking.history import read_histories
from poise.tracking.metric_values import history
from poise.tracking.run import Run, create_study_run
from poise.tracking.store import open_store
from tests.studies.invented import invented_space, invented_study, invented_trials

GOAL_S = 10.0
SETTINGS, SEEDS = (25, 4), 5


def main() -> None:
    """Stores a study, reports it, and prints the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["POISE_HOME"] = folder
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        study, run, run_ids = store_study()
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        report = write_report(study, run, None)
        total_s = time.perf_counter() - started_s
        cpu_s = time.process_time() - started_cpu_s
        page_mb = report.page.stat().st_size / 1e6
        seconds = f"{total_s:.1f} s (goal {GOAL_S:.0f}), of the CPU {cpu_s:.1f} s"
        print(f"{len(run_ids)} trials: report in {seconds}, {page_mb:.1f} MB")
        compare_reading(run, run_ids)
    sys.exit(total_s > GOAL_S)


def store_study() -> tuple[Study, Run, list[str]]:
    """A study in files and in MLflow."""
    study = invented_study(invented_space(SETTINGS, SEEDS))
    study.save()
    run = create_study_run(open_store(), "scenes", study.name, study.folder)
    records, histories = invented_trials(study.space)
    client, rows = run.store.client, []
    for record in records:
        tags = {"mlflow.parentRunId": run.run_id}
        run_id = client.create_run(run.experiment_id, tags=tags).info.run_id
        study.write(replace(record, run_id=run_id))
        for step, metrics in histories[record.trial.name]:
            rows += [(key, value, step, step, 0, run_id) for key, value in metrics.items()]
    columns = "(key, value, timestamp, step, is_nan, run_uuid)"
    with sqlite3.connect(Path(run.store.uri.removeprefix("sqlite:///"))) as database:
        database.executemany(f"INSERT INTO metrics {columns} VALUES (?, ?, ?, ?, ?, ?)", rows)
    return study, run, [record.run_id for record in study.records() if record.run_id]


def compare_reading(run: Run, run_ids: list[str]) -> None:
    """Prints both ways to read the same histories."""
    few = run_ids[::20]
    started_s = time.perf_counter()
    read_histories(run.store, few, LABELS)
    bulk_s = time.perf_counter() - started_s
    started_s = time.perf_counter()
    for run_id in few:
        history(run.store, run_id, LABELS)
    single_s = time.perf_counter() - started_s
    print(
        f"histories of {len(few)} trials: {bulk_s:.2f} s, one metric at a time {single_s:.2f} s "
        f"({single_s / bulk_s:.0f}x)"
    )


if __name__ == "__main__":
    main()
