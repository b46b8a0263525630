"""A sweep half of which collapses, on a real Ray cluster and a real MLflow store."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from poise.data.ingest import prepare
from poise.tracking.store import open_store
from tests.builders import tiny_recipe
from tests.integration.processes import ANSWER_WITHIN_S, Start, starting, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

HEALTHY, COLLAPSED = "t01-s0", "t02-s0"
STEPS = 160


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of 160 steps of 16 scenes, whose teacher follows closely.

    Without centering it is on a single prototype within 20 steps.
    """
    path = tmp_path_factory.mktemp("stopper")
    prepare("scenes", path / "train", 64, 0, 32, on_progress=lambda _: None)
    changes = {
        "data__dataset": str(path / "train"),
        "evaluation": {"queries": str(path / "train"), "every_epochs": 20, "knn_k": 5},
        "objective__teacher_momentum": 0.9,
        "training__batch_size": 16,
        "training__epochs": 40,
        "training__checkpoint_every_steps": 40,
    }
    recipe = tiny_recipe(**changes).model_dump(mode="json")
    (path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    space = {
        "name": "centering",
        "recipe": "recipe.yaml",
        "parameters": {"objective.center_momentum": {"grid_search": [0.9, 1.0]}},
    }
    (path / "space.yaml").write_text(yaml.safe_dump(space))
    return path


@pytest.fixture
def begin(folder: Path) -> Iterator[Start]:
    """Starts `poise sweep`."""
    with starting("sweep", folder) as start:
        yield start


def test_a_collapsed_trial_ends_early_with_its_evidence_and_stays_so_when_resumed(
    folder: Path, begin: Start
) -> None:
    study = folder / "runs" / "halves"

    def read(trial: str) -> dict[str, Any]:
        path = study / trial / "trial.json"
        return json.loads(path.read_text()) if path.exists() else {"state": "waiting"}

    first = begin(folder / "space.yaml", "--name", "halves")
    wait_for(lambda: read(COLLAPSED)["state"] not in ("waiting", "running"), first)
    assert read(HEALTHY)["state"] == "running", "the sweep was to be killed on its way"
    first.kill()
    first.communicate()
    stopped = read(COLLAPSED)
    evidence = stopped["verdict"]["evidence"]
    assert (stopped["state"], stopped["stopped_by"]) == ("stopped", "CollapseStopper")
    assert stopped["verdict"]["kind"].startswith("collapsed"), evidence
    assert stopped["verdict"]["onset_step"] <= stopped["step"] < STEPS
    assert "eval/knn_top1" in stopped["metrics"], "it ended without an evaluation"
    assert Path(stopped["checkpoint"], "backbone").is_dir()

    second = begin("--resume", "halves")
    output, _ = second.communicate(timeout=ANSWER_WITHIN_S)
    assert second.returncode == 0, output
    assert f"{COLLAPSED}  goes on" not in output and f"{COLLAPSED}  starts" not in output
    assert read(COLLAPSED) == stopped
    healthy = read(HEALTHY)
    assert (healthy["state"], healthy["stopped_by"], healthy["step"]) == ("finished", None, STEPS)

    store = open_store(f"sqlite:///{folder / 'runs' / 'mlflow.db'}")
    tags = {run.info.run_name: run.data.tags for run in store.search_runs("")}
    assert tags[COLLAPSED]["poise.verdict"] == stopped["verdict"]["kind"]
    assert tags[COLLAPSED]["poise.verdict_step"] == str(stopped["step"])
    assert tags[COLLAPSED]["poise.stopped_early"] == (
        f"by CollapseStopper after step {stopped['step']} of {STEPS}: {evidence}"
    )
    assert "poise.stopped_early" not in tags[HEALTHY]
    assert tags["halves"]["poise.best_trial"] in (HEALTHY, "none is healthy")
