"""Sweeps on a real Ray cluster and a real MLflow store."""

import html
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from poise.cli.main import exit_status
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.sweeps.planning import begin_study
from poise.sweeps.runner import run_study
from poise.tracking.metric_values import history
from poise.tracking.registry.version_search import list_versions
from poise.tracking.store import Store, open_store
from tests.builders import tiny_recipe
from tests.data.builders import write_dataset
from tests.integration.processes import Start, starting, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe and the datasets that it names: 64 and 32 scenes of 32 px."""
    path = tmp_path_factory.mktemp("study")
    for name, count, seed in (("train", 64, 0), ("test", 32, 1)):
        prepare("scenes", path / name, PrepareOptions(count, seed, 32))
    changes = {
        "data__dataset": str(path / "train"),
        "evaluation": {"queries": str(path / "test"), "every_epochs": 4, "knn_k": 5},
        "training__batch_size": 16,
        "training__epochs": 4,
        "training__checkpoint_every_steps": 8,
    }
    recipe = tiny_recipe(**changes).model_dump(mode="json")
    (path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return path


def write_space(folder: Path, name: str, **content: Any) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "recipe": "recipe.yaml", **content}))
    return path


@pytest.fixture
def begin(folder: Path, migrated_file: Path) -> Iterator[Start]:
    """Starts `poise sweep`."""
    (folder / "runs").mkdir(exist_ok=True)
    shutil.copy(migrated_file, folder / "runs")
    with starting("sweep", folder) as start:
        yield start


def read_record(study: Path, trial: str) -> dict[str, Any]:
    path = study / trial / "trial.json"
    return json.loads(path.read_text()) if path.exists() else {"state": "waiting"}


def runs_by_name(store: Store) -> dict[str, tuple[str, str, str]]:
    """Status, attempt and id of every run; two of one name would be a repeated trial."""
    runs = store.search_runs("")
    found = {
        run.info.run_name: (run.info.status, run.data.tags["poise.attempt"], run.info.run_id)
        for run in runs
    }
    assert len(found) == len(runs)
    return found


def test_a_killed_sweep_goes_on_and_repeats_nothing_that_finished(
    folder: Path, begin: Start
) -> None:
    # Two trials at once, one CPU each: a short one, and one that is killed on its way.
    space = write_space(
        folder, "kill", parameters={"training.epochs": {"grid_search": [4, 40]}}, concurrency=2
    )
    study = folder / "runs" / "killed"
    kill_in_second_trial(begin(space, "--name", "killed"), study)
    finished = (study / "t01-s0" / "trial.json").read_bytes()

    interrupt_at_its_start(begin(space, "--resume"))  # the same command
    store = open_store(f"sqlite:///{folder / 'runs' / 'mlflow.db'}")
    assert statuses(runs_by_name(store)) == {
        "killed": "KILLED",
        "t01-s0": "FINISHED",
        "t02-s0": "KILLED",
    }

    check_ends_without_the_first(begin("--resume", "killed", "--json", errors=subprocess.PIPE))
    assert (study / "t01-s0" / "trial.json").read_bytes() == finished
    check_went_on_with_its_runs(store)
    assert not list(study.glob("tune-*")), "pickles were left behind"


def kill_in_second_trial(sweep: subprocess.Popen[str], study: Path) -> None:
    """Kills a sweep after its first trial has ended and its second has a checkpoint."""
    wait_for(lambda: read_record(study, "t01-s0")["state"] == "finished", sweep)
    assert read_record(study, "t02-s0")["state"] == "running", "they did not run at once"
    wait_for(lambda: any((study / "t02-s0").glob("checkpoint_*")), sweep)
    sweep.kill()
    sweep.communicate()


def interrupt_at_its_start(sweep: subprocess.Popen[str]) -> None:
    """Sends Ctrl-C when a resumed sweep names the one trial that is left."""
    assert sweep.stdout is not None
    lines = iter(sweep.stdout)
    assert any("study killed: 1 trial to run" in line for line in lines)
    sweep.send_signal(signal.SIGINT)
    output, _ = sweep.communicate()
    assert sweep.returncode == 130, output
    assert output.splitlines()[-1].endswith("poise sweep --resume killed")
    assert "Traceback" not in output


def check_ends_without_the_first(sweep: subprocess.Popen[str]) -> None:
    """Waits for a resumed sweep, which finishes the second trial and does not begin the first."""
    output, progress = sweep.communicate()
    assert sweep.returncode == 0, progress
    assert "t01-s0  starts" not in progress and "t01-s0  goes on" not in progress
    printed = json.loads(output)
    assert [(each["trial"], each["state"]) for each in printed["trials"]] == [
        ("t01-s0", "finished"),
        ("t02-s0", "finished"),
    ]
    assert Path(printed["report"]).is_file()


def check_went_on_with_its_runs(store: Store) -> None:
    """Checks that the study and its second trial have their own runs again, without a gap."""
    runs = runs_by_name(store)
    assert statuses(runs) == dict.fromkeys(("killed", "t01-s0", "t02-s0"), "FINISHED")
    assert (runs["killed"][1], runs["t01-s0"][1]) == ("3", "1")
    assert int(runs["t02-s0"][1]) >= 2, "it did not go on with its own run"
    losses = history(store, runs["t02-s0"][2], ["loss/total"])["loss/total"]
    assert [step for step, _ in losses] == [1, *range(2, 161, 2)]


def statuses(runs: dict[str, tuple[str, str, str]]) -> dict[str, str]:
    return {name: status for name, (status, _, _) in runs.items()}


@pytest.mark.parametrize("num_workers", [1, pytest.param(2, marks=pytest.mark.heavy)])
def test_a_failing_trial_does_not_stop_the_others_and_the_best_is_registered(
    folder: Path, ray_cluster: None, poise_home: Path, num_workers: int
) -> None:
    write_dataset(folder / "damaged", [b"no image"] * 64)
    space = write_space(
        folder,
        "fails",
        parameters={
            "data.dataset": {"grid_search": [str(folder / "damaged"), str(folder / "train")]}
        },
    )
    changes = [f"training.num_workers={num_workers}", "training.epochs=10", "concurrency=1"]
    result = run_study(begin_study(str(space), changes))

    failed, trained = result.records
    assert exit_status(result.check_failures) == 3, "a cluster would take the job for done"
    assert failed.state == "failed" and "damaged" in failed.reason, failed.reason
    assert len(failed.reason.splitlines()) == 1
    assert trained.state == "finished" and trained.step == 40
    runs = runs_by_name(open_store())
    assert (runs["t01-s0"][0], runs["t02-s0"][0]) == ("FAILED", "FINISHED")
    first, second = (
        open_store().client.get_run(runs[name][2]).info for name in ("t01-s0", "t02-s0")
    )
    assert second.start_time < first.end_time, "it was not in MLflow while it waited"

    report = html.unescape(result.report.page.read_text())
    assert failed.reason in report and trained.outcome in report
    models = list_versions(open_store())
    if trained.outcome == "healthy":
        assert result.best == trained and models[0].uri == result.registered
        assert models[0].tags["study_run"] == runs[result.study.name][2]
    else:
        assert result.best is None and result.registered is None and not models
