"""Runs that lose nodes and get new ones, on real nodes: processes of this machine."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from poise.config import Recipe
from poise.data.dataset import ImageDataset
from poise.data.stream.plan import Plan
from poise.data.stream.stream import view_stream
from poise.training.checkpoint import read_run
from poise.training.loop import new_state, train_steps
from poise.training.schedule import timetable_of
from tests.integration.elastic_run import dataset_in, entries, recipe_in
from tests.integration.head_node import REPOSITORY

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ENVIRONMENT = {
    "RAY_worker_niceness": "0",  # with Ray's 15, workers of a busy machine get no CPU
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "OMP_NUM_THREADS": "1",
}


def run(folder: Path, epochs: int, *events: str) -> dict[str, Any]:
    """Runs with nodes that come and go, in a process of its own. Returns what it did."""
    dataset_in(folder)
    paths = [str(REPOSITORY / "platform"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    result = subprocess.run(
        [sys.executable, "-m", "tests.integration.elastic_run", str(folder), str(epochs), *events],
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    done: dict[str, Any] = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    print(done)  # seconds of the run, for who measures
    return done


def losses_of_one_worker(recipe: Recipe) -> list[float]:
    batches = view_stream(recipe, 0, 1, source="local")
    state = new_state(recipe, torch.device("cpu"))
    reports = train_steps(timetable_of(recipe), state, batches)
    return [report.metrics["loss/total"] for report in reports]


def check_same_run(folder: Path, recipe: Recipe, done: dict[str, Any]) -> None:
    """Checks steps and losses against one worker, and the samples against the plan."""
    history = read_run(done["checkpoint"])["history"]
    plan = Plan.of(recipe, ImageDataset.open(folder / "dataset"))
    assert [step for step, _ in history] == list(range(1, plan.total_steps + 1))
    losses = [metrics["loss/total"] for _, metrics in history]
    assert losses == pytest.approx(losses_of_one_worker(recipe), abs=1e-5)
    shares: dict[int, dict[tuple[str, int, int], list[int]]] = defaultdict(dict)
    for file in sorted((folder / "samples").iterdir()):
        for step, rank, size, ids in entries(file):
            shares[step][file.name, rank, size] = ids
    assert sorted(shares) == list(range(plan.total_steps))
    for step, of_step in shares.items():
        planned = plan.sample_ids(step).tolist()
        for (_, rank, size), ids in of_step.items():  # also of attempts that were lost
            share = plan.batch_size // size
            assert ids == planned[rank * share : (rank + 1) * share]
        ranks = {size: {rank for _, rank, of in of_step if of == size} for _, _, size in of_step}
        assert any(taken == {*range(size)} for size, taken in ranks.items()), f"step {step}"


def notes(folder: Path, topic: str = "workers") -> list[str]:
    return [text for kind, _, text, _ in entries(folder / "diary") if kind == topic]


@pytest.mark.heavy
def test_a_run_of_four_workers_that_loses_a_node_goes_on_with_two_and_is_the_same_run(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, 6, "kill:10")
    sizes = [(attempt["step"], attempt["workers"]) for attempt in done["attempts"]]
    assert sizes == [(0, 4), (8, 2)]
    assert notes(tmp_path) == [
        "starts with 4 of 4 workers",
        "continues with 2 of 4 workers from step 8: one node is gone",
    ]
    check_same_run(tmp_path, recipe_in(tmp_path, 6), done)


@pytest.mark.heavy
def test_a_run_grows_with_the_cluster_after_a_checkpoint_and_shrinks_again(tmp_path: Path) -> None:
    done = run(tmp_path, 100, "add:6", "kill:300", "add:310")
    sizes = [attempt["workers"] for attempt in done["attempts"]]
    assert sizes[:3] == [2, 4, 2]
    assert "continues with 4 of 4 workers" in notes(tmp_path)[1]
    check_same_run(tmp_path, recipe_in(tmp_path, 100), done)
