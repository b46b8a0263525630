"""Trains the labelled runs and keeps their histories.

Run from the repository's root as ``python -m tests.corpus.record [--jobs 2] [--only TEXT]``; it
needs the datasets that the recipes name (``poise data prepare``, as their headers say) and takes
about a minute a run and core. Interrupted, it goes on where it was: each run has its own file.
``runs.parquet`` then takes these runs in and keeps the others that it holds.
"""

import argparse
import multiprocessing
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from poise.config import Recipe, load_recipe
from poise.data.stream.stream import view_stream
from poise.evaluation.during_training import online_probes
from poise.training.loop import new_state, train_steps
from poise.training.schedule import Timetable, steps_per_epoch
from tests.corpus.causes import RUNS, LabelledRun
from tests.corpus.histories import CORPUS, Metrics

LOG_EVERY_STEPS = 8
PARTS = Path("runs") / "corpus"
CPU = torch.device("cpu")


def recipe_of(run: LabelledRun) -> Recipe:
    """The run's complete recipe."""
    path, changes = run.recipe
    logging = ("training.device=cpu", f"training.log_every_steps={LOG_EVERY_STEPS}")
    return load_recipe(path, (*logging, *changes))


def train(run: LabelledRun) -> list[tuple[int, Metrics]]:
    """The run's history: metrics at every interval, k-NN at both ends."""
    recipe = recipe_of(run)
    timetable = Timetable(recipe, steps_per_epoch(recipe))
    state = new_state(recipe, CPU)
    probe = online_probes(recipe)
    assert probe is not None

    def evaluate() -> Metrics:
        return {f"eval/{name}": value for name, value in probe(state.objective.backbone, CPU)}

    history = [(0, evaluate())]
    reports = train_steps(timetable, state, view_stream(recipe, 0, 1, source="local"))
    history += [(report.step, dict(report.metrics)) for report in reports if report.metrics]
    history[-1][1].update(evaluate())
    return history


def record(run: LabelledRun) -> None:
    """Trains the run unless its file is there."""
    path = PARTS / f"{run.name}.parquet"
    if path.exists():
        return
    torch.set_num_threads(1)
    started_s = time.monotonic()
    rows = [
        {"run": run.name, "step": step, "metric": name, "value": value}
        for step, metrics in train(run)
        for name, value in metrics.items()
        if not name.startswith("throughput/")
    ]
    half_done = path.with_suffix(".part")
    pq.write_table(pa.Table.from_pylist(rows), half_done)
    half_done.rename(path)
    print(f"{run.name}: {time.monotonic() - started_s:.0f} s", flush=True)


def gather() -> None:
    """Makes one small file of all runs: single precision is more than a verdict needs."""
    number = {"step": pa.int16(), "value": pa.float32()}
    plain = pa.schema({"run": pa.string(), "metric": pa.string(), **number})
    name = pa.dictionary(pa.int16(), pa.string())
    small = pa.schema({"run": name, "metric": name, **number})
    kept = pq.read_table(CORPUS).select(plain.names).cast(plain)

    def read(run: LabelledRun) -> pa.Table:
        path = PARTS / f"{run.name}.parquet"
        if path.exists():
            return pq.read_table(path).select(plain.names).cast(plain)
        return kept.filter(pc.equal(kept["run"], run.name))

    table = pa.concat_tables(map(read, RUNS)).cast(small)
    pq.write_table(table, CORPUS, compression="zstd", compression_level=19)


def main() -> None:
    """Records what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="runs whose name contains this")
    arguments = parser.parse_args()
    PARTS.mkdir(parents=True, exist_ok=True)
    chosen = [run for run in RUNS if arguments.only in run.name]
    with multiprocessing.get_context("spawn").Pool(arguments.jobs, maxtasksperchild=8) as pool:
        for _ in pool.imap_unordered(record, chosen):
            pass
    gather()


if __name__ == "__main__":
    main()
