"""An elastic run on nodes that come and go: processes of this machine.

``python -m tests.integration.elastic_run FOLDER EPOCHS EVENT …``; an event is ``kill:STEP`` or
``add:STEP``, and an epoch has four steps. The folder receives what the run did: ``done.json``, and
``samples/``.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from poise.config import Recipe
from poise.config.locations import Location
from poise.data.batch import ViewBatch
from poise.diagnostics.judge import Verdict
from poise.training import on_worker, worker
from poise.training.checkpoint import read_run
from poise.training.run_mailbox import Mailbox
from poise.training.spec import RunSpec
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset
from tests.waiting import wait_until

CHECKPOINT_EVERY = 4
NODE = {"num_cpus": 2, "object_store_memory": 100_000_000}


def dataset_in(folder: Path) -> Path:
    """Makes 32 images."""
    write_dataset(folder / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(32)])
    return folder / "dataset"


def recipe_in(folder: Path, epochs: int, **changes: Any) -> Recipe:
    """A run of four steps of 8 images an epoch."""
    return tiny_recipe(
        data__dataset=str(folder / "dataset"),
        training__epochs=epochs,
        optimizer__base_lr=0.005,
        training__log_every_steps=1,
        training__checkpoint_every_steps=CHECKPOINT_EVERY,
        **changes,
    )


class Diary:
    """Observer that writes what it is told, one line each."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", encoding="utf-8")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._write("step", step, metrics.get("loss/total"))
        time.sleep(0.1)  # so that a node is lost between two checkpoints

    def judged(self, step: int, verdict: Verdict) -> None:
        """Verdicts are tested elsewhere."""

    def note(self, step: int, topic: str, text: str) -> None:
        self._write(topic, step, text)

    def show(self, step: int, name: str, picture: Any) -> None:
        """Pictures are tested elsewhere."""

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, *entry: Any) -> None:
        self._file.write(json.dumps([*entry, time.time()]) + "\n")
        self._file.flush()


def entries(file: Path) -> list[list[Any]]:
    """What a diary says."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def recording(folder: Path, spec: RunSpec, mailbox: Mailbox) -> Any:
    """As ``worker._train``; every batch that training takes is written down.

    It has the same parameters: Ray Train would fill another one with its own settings.
    """
    patched: Any = on_worker
    stream = patched.view_stream

    def recorded(recipe: Recipe, rank: int, size: int, start_step: int, *rest: Any) -> Any:
        batches: Iterator[ViewBatch] = stream(recipe, rank, size, start_step, *rest)
        with (folder / f"{time.time_ns()}-{rank}").open("w", encoding="utf-8") as file:
            for step, batch in enumerate(batches, start_step):
                file.write(json.dumps([step, rank, size, batch.sample_ids.tolist()]) + "\n")
                file.flush()
                yield batch

    patched.view_stream = recorded
    return trains(spec, mailbox)


trains: Any = worker._train


def main(folder: Path, epochs: int, events: list[str]) -> None:
    """Runs with 4 workers on two nodes of 2 CPUs; on one node first if the other one is added."""
    diary, samples = folder / "diary", folder / "samples"
    samples.mkdir()
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    others = [] if events[0].startswith("add") else [cluster.add_node(**NODE)]
    cluster.wait_for_nodes()

    def reached(step: int) -> bool:
        return any(entry[:2] == ["step", step] for entry in entries(diary))

    def happen() -> None:
        for event in events:
            what, step = event.split(":")
            wait_until(partial(reached, int(step)))
            if what == "add":
                others.append(cluster.add_node(**NODE))
            else:
                cluster.remove_node(others.pop(), allow_graceful=False)
            Diary(diary).note(int(step), "event", what)

    threading.Thread(target=happen, daemon=True).start()
    patched: Any = worker
    patched._train = partial(recording, samples)
    worker.GROW_EVERY_S = 1.0
    recipe = recipe_in(folder, epochs, training__num_workers=4, training__min_workers=1)
    observers = [partial(Diary, diary)]
    spec = RunSpec(recipe, "elastic", Location.of(folder / "runs"), observers)
    began_s = time.time()
    outcome = worker.fit(spec)
    done = {"seconds": time.time() - began_s, "checkpoint": str(outcome.checkpoint)}
    done["attempts"] = read_run(outcome.checkpoint)["attempts"]
    (folder / "done.json").write_text(json.dumps(done), encoding="utf-8")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
