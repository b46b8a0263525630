"""How long a person waits for a list of 10,000 registered versions.

Run as ``python tests/benchmarks/bench_registry.py [--versions N] [--rounds N]``. The versions are
made by one SQL statement for each table, because MLflow's own calls would take minutes. Every
command is measured as a whole process, in turns with its baseline: a process that imports MLflow
and asks for one page of 10,000 versions by MLflow's own search. The time of ``import mlflow`` alone
is measured too, and subtracted from both.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModel,
    SqlRegisteredModelAlias,
)

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS, FIGURES = 20, 12
GOAL_S = 2.0

PAGE = """
from mlflow import MlflowClient
client = MlflowClient(tracking_uri={uri!r}, registry_uri={uri!r})
assert len(client.search_model_versions(max_results={count})) == {count}
"""

COMMANDS = {
    "list": ["list"],
    "filter by tags": ["list", "--verdict", "healthy", "--objective", "mae"],
    "filter by a figure, sorted": [
        "list", "--metric", "eval/knn_top1>=60", "--sort", "eval/knn_top1",
    ],
    "list everything": ["list", "--limit", "0", "--json"],
    "show": ["show", "model-07/250"],
}  # fmt: skip
"""Commands to measure. The versions have neither files nor runs, and `show` says so."""


def fill(uri: str, count: int) -> None:
    """Adds registered models and versions with the tags that Poise writes."""
    from poise.tracking.registry.version import RegisteredFigure, stored_tags

    names = [f"model-{index:02d}" for index in range(MODELS)]
    versions: list[dict[str, Any]] = []
    tags: list[dict[str, Any]] = []
    for index in range(count):
        key = {"name": names[index % MODELS], "version": index // MODELS + 1}
        figures = {
            f"probe/scenes-test/knn-dino-v1/k{k}_top1": RegisteredFigure(
                40 + index % 37 + k / 10, "%", 38.0, 81.0, "knn/dino-v1", "scenes-test"
            )
            for k in range(FIGURES)
        }
        figures["eval/knn_top1"] = RegisteredFigure(30 + index % 40, "%", 28.0, 72.0, "knn/dino-v1")
        facts = {
            "objective": ("dino", "mae")[index % 2],
            "backbone": "vit_small_patch16_224",
            "dataset": "scenes",
            "verdict": ("healthy", "forgetting")[index % 3 == 0],
            "metric": "eval/knn_top1",
            "recipe": "dino-scenes",
            "dataset_fingerprint": "ab" * 32,
            "weights_sha256": f"{index:064x}",
            "version": "0.1.0",
            "study_run": "0" * 32,
        }
        created = 1_700_000_000_000 + index
        versions.append(
            key | {"creation_time": created, "last_updated_time": created, "current_stage": "None",
                   "source": f"/nowhere/{index}", "run_id": f"{index:032x}", "status": "READY",
                   "description": "d" * 2000}
        )  # fmt: skip
        tags += [key | {"key": k, "value": v} for k, v in stored_tags(facts, figures).items()]
    aliases = [{"name": name, "alias": "best", "version": 3} for name in names]
    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        for table, rows in (
            (SqlRegisteredModel, [{"name": name, "creation_time": 1} for name in names]),
            (SqlModelVersion, versions),
            (SqlModelVersionTag, tags),
            (SqlRegisteredModelAlias, aliases),
        ):
            connection.execute(sqlalchemy.insert(table), rows)


def seconds(command: Sequence[str], home: Path) -> tuple[float, float]:
    """Runs a process and returns its elapsed time and its processor time in seconds."""
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY / "platform"),
        "POISE_HOME": str(home),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *command], env=environment, check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    elapsed, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return elapsed, used


def measure(home: Path, uri: str, count: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Measures each command once a round, so that a busy machine is unkind to all of them."""
    page = ["-c", PAGE.format(uri=uri, count=count)]
    ways = {"import mlflow": ["-c", "import mlflow"], "one page of MLflow's search": page}
    ways |= {f"poise models, {name}": ["-m", "poise.cli.main", "models", *words]
             for name, words in COMMANDS.items()}  # fmt: skip
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, command in ways.items():
            taken[name].append(seconds(command, home))
            print(
                f"  {name:45s} {taken[name][-1][0]:6.2f} s, processor {taken[name][-1][1]:6.2f} s",
                flush=True,
            )
    return taken


def tell(taken: dict[str, list[tuple[float, float]]]) -> None:
    """Prints the time of each command beyond the import, and its ratio to MLflow's page."""
    for kind, which in (("elapsed", 0), ("processor", 1)):
        times = {name: [each[which] for each in pairs] for name, pairs in taken.items()}
        floor = statistics.median(times.pop("import mlflow"))
        page = statistics.median(times.pop("one page of MLflow's search")) - floor
        print(f"\n{kind}: import mlflow {floor:.2f} s; MLflow's own page {page:.2f} s beyond it")
        for name, values in times.items():
            beyond = statistics.median(values) - floor
            spread = f"{min(values) - floor:.2f} to {max(values) - floor:.2f}"
            print(f"{name}: {beyond:.2f} s ({spread}) beyond it, {beyond / page:.2f}× the page")
    print(f"\nthe goal is below {GOAL_S} s beyond the import")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--versions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the times")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["POISE_HOME"] = folder
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        from poise.tracking.store import open_store

        store = open_store()
        fill(store.uri, arguments.versions)
        taken = measure(home, store.uri, arguments.versions, arguments.rounds)
        if arguments.json:
            arguments.json.write_text(json.dumps(taken, indent=2), encoding="utf-8")
        tell(taken)


if __name__ == "__main__":
    main()
