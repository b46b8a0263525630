"""`poise pretrain` in a process of its own, as a person starts, interrupts and resumes it."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from poise.models.package import load_backbone
from poise.tracking.metric_values import history
from poise.tracking.store import open_store
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset
from tests.integration.processes import Start, starting, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.slow]

STEPS = 160


@pytest.fixture
def start(tmp_path: Path, migrated_file: Path) -> Iterator[Start]:
    """Starts `poise pretrain`."""
    (tmp_path / "runs").mkdir()
    shutil.copy(migrated_file, tmp_path / "runs")
    with starting("pretrain", tmp_path) as begin:
        yield begin


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
    output, _ = first.communicate()
    assert first.returncode == 130, output
    assert "Traceback" not in output
    told = [line for line in output.splitlines() if "interrupted" in line]
    assert told == ["interrupted; go on with: poise pretrain --resume mine"], output
    status, steps, _ = stored(tmp_path)
    assert status == "KILLED"
    assert steps[-1] < STEPS, "it was over before it was interrupted"

    # the same command, whose progress is on stderr
    second = start("recipe.yaml", "--resume", "--json", errors=subprocess.PIPE)
    output, progress = second.communicate()
    assert second.returncode == 0, progress
    assert "mine  step" in progress
    printed = json.loads(output)
    status, steps, tags = stored(tmp_path)
    assert (status, steps) == ("FINISHED", [1, *range(2, STEPS + 1, 2)])
    assert printed["run"] == "mine" and printed["last_step"] == STEPS
    assert printed["verdict"] == tags["poise.verdict"]
    assert printed["evidence"] == tags["poise.verdict_evidence"]
    backbone, config = load_backbone(Path(printed["package"]))
    assert config["lineage"]["dataset"] == str(tmp_path / "dataset")
    with torch.no_grad():
        assert torch.isfinite(backbone(torch.zeros(2, 3, 16, 16))).all()
