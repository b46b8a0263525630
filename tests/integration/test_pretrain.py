"""`poise pretrain` in a process of its own, as a person starts, interrupts and resumes it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml

from poise.models.package import load_backbone
from poise.tracking.runs import history
from poise.tracking.store import open_store
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

ANSWER_WITHIN_S = 200
STEPS = 160

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `poise pretrain` in a session of its own, as a terminal does."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "poise.cli.main", "pretrain", *words],
            env=os.environ | {"POISE_HOME": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + ANSWER_WITHIN_S
    while not condition():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            pytest.fail(f"the run did not get there:\n{process.communicate()[0]}")
        time.sleep(0.05)


def stored(folder: Path) -> tuple[str, list[int], dict[str, str]]:
    """The run's status, the steps of its losses, and its tags."""
    store = open_store(f"sqlite:///{folder / 'runs' / 'mlflow.db'}")
    (run,) = store.search_runs("")
    losses = history(store, run.info.run_id, ["loss/total"])["loss/total"]
    return run.info.status, [step for step, _ in losses], run.data.tags


def test_a_run_is_interrupted_named_and_finished_by_another_process(
    tmp_path: Path, start: Start
) -> None:
    write_dataset(tmp_path / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(32)])
    recipe = tiny_recipe(
        data__dataset="dataset", training__epochs=40, training__checkpoint_every_steps=8
    )
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))

    first = start("recipe.yaml", "--name", "mine")
    wait_for(lambda: any((tmp_path / "runs" / "mine").glob("**/state.pt")), first)
    os.killpg(first.pid, signal.SIGINT)  # Ctrl-C reaches every process of the terminal
    output, _ = first.communicate(timeout=ANSWER_WITHIN_S)
    assert first.returncode == 130, output
    assert "Traceback" not in output
    told = [line for line in output.splitlines() if "interrupted" in line]
    assert told == ["interrupted; go on with: poise pretrain --resume mine"], output
    status, steps, _ = stored(tmp_path)
    assert status == "KILLED"
    assert steps[-1] < STEPS, "it was over before it was interrupted"

    second = start("--resume", "mine")
    output, _ = second.communicate(timeout=ANSWER_WITHIN_S)
    assert second.returncode == 0, output
    status, steps, tags = stored(tmp_path)
    assert (status, steps) == ("FINISHED", list(range(2, STEPS + 1, 2)))
    verdict = f"verdict: {tags['poise.verdict']} - {tags['poise.verdict_evidence']}"
    assert verdict in output.splitlines()
    (package,) = [line for line in output.splitlines() if line.startswith("backbone: ")]
    backbone, config = load_backbone(Path(package.removeprefix("backbone: ")))
    assert config["lineage"]["dataset"] == str(tmp_path / "dataset")
    with torch.no_grad():
        assert torch.isfinite(backbone(torch.zeros(2, 3, 16, 16))).all()
