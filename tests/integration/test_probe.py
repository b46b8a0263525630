"""A probe that streams its images: interrupted, resumed, scored, and kept with the model's run."""

import json
from pathlib import Path

import pytest

from poise.cli.main import run
from poise.config.paths import home
from poise.runs.probing import read_plan
from poise.tracking.run import create_run
from poise.tracking.store import open_store
from poise.training.in_process import fit_in_process
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.packages import save_package

__all__ = ["make_dataset"]  # a fixture

QUICK = ("training.batch_size=16", "training.checkpoint_every_steps=2", "objective.held_out=0.2")


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning:ray.data.context")
def test_a_streamed_probe_resumes_and_its_figures_join_the_run_that_made_the_model(
    make_dataset: MakeDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    ray_cluster: None,
) -> None:
    store = open_store()
    maker = create_run(store, "colours", "maker-of-the-probed", tmp_path / "maker")
    train = make_dataset("train", [0, 1, 2] * 20)
    test = make_dataset("test", [0, 1, 2] * 4, seed=1)
    lineage = {"dataset": str(train), "run_id": maker.run_id}
    model = save_package(tmp_path / "model", lineage=lineage)
    words = ["evaluate", "linear", str(model), str(test), "--protocol", "dino-v1"]
    changes = [*QUICK, "training.epochs=2", "training.stop_after_steps=2"]

    assert run([*words, *changes, "--name", "probed", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["run_id"] == maker.run_id and first["protocol"] == "linear/dino-v1"
    recipe_file = home() / "probed" / "recipe.yaml"
    written = recipe_file.read_text(encoding="utf-8")
    recipe_file.write_text(written.replace("stop_after_steps: 2", "stop_after_steps: null"))

    # It goes on from a worker's checkpoint, in this process: another worker would take 20 s more.
    monkeypatch.setattr("poise.runs.probing.fit", fit_in_process)
    assert run(["evaluate", "linear", "--resume", "probed", "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    plan, recipe = read_plan("probed")
    assert plan.test == str(test) and recipe.training.stop_after_steps is None
    (row,) = second["rows"]
    assert row["feature"] == "last_2" and row["base_lr"] in [c["base_lr"] for c in row["grid"]]
    kept = store.client.get_run(maker.run_id).data.metrics
    (name,) = [name for name in kept if name.endswith("/last_2_top1")]
    assert name.startswith("probe/test/linear-dino-v1-changed-")
    assert kept[name] == pytest.approx(row["top1"]["percent"])
    (child,) = store.search_runs(
        f"tags.mlflow.parentRunId = '{maker.run_id}'", [maker.experiment_id]
    )  # fmt: skip
    steps = {
        point.step for point in store.client.get_metric_history(child.info.run_id, "loss/total")
    }
    assert steps == {1, 2, 3, 4, 6}, "the first, every second, and where an epoch ends"
