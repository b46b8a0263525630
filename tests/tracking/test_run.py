import json
import math
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow.entities import Metric

from poise.config import PoiseError, Recipe
from poise.tracking.ending import finish, reconcile
from poise.tracking.metric_values import history
from poise.tracking.run import (
    Run,
    create_run,
    create_study_run,
    create_trial_run,
    log_environment,
    log_files,
    log_json,
    log_recipe,
    plan_trial_run,
    set_tags,
)
from poise.tracking.store import Store

RECIPE = Recipe.model_validate({"name": "dino-tiny", "data": {"dataset": "data/scenes"}})
DATASETS = {"poise.dataset": "scenes", "poise.dataset_fingerprint": "ab12"}


def tags_of(run: Run) -> dict[str, str]:
    return dict(run.store.client.get_run(run.run_id).data.tags)


def artifact(run: Run, name: str) -> str:
    folder = run.store.client.get_run(run.run_id).info.artifact_uri
    return (Path(folder) / name).read_text()


def test_a_trial_is_a_child_of_its_sweep_and_says_who_controls_it(
    store: Store, tmp_path: Path
) -> None:
    study = create_study_run(store, "scenes", "collapse", tmp_path)
    trial = create_trial_run(study, "00003", tmp_path / "00003")
    tags = tags_of(trial)
    assert tags["mlflow.parentRunId"] == study.run_id
    assert tags["mlflow.runName"] == "00003"
    assert int(tags["poise.pid"]) == os.getpid()
    assert trial.experiment_id == study.experiment_id


def test_a_resumed_trial_continues_its_own_run(store: Store, tmp_path: Path) -> None:
    study = create_study_run(store, "scenes", "collapse", tmp_path)
    first = create_trial_run(study, "00003", tmp_path)
    ends = {"poise.killed_because": "process 1 is gone", "poise.stopped_early": "after step 4"}
    set_tags(first, ends)
    finish(first, "KILLED")
    again = create_trial_run(create_study_run(store, "scenes", "collapse", tmp_path), "00003", "x")
    assert again.run_id == first.run_id
    assert tags_of(again)["poise.attempt"] == "2"
    assert not set(ends) & set(tags_of(again)), "how it once ended is no longer true"
    assert store.client.get_run(again.run_id).info.status == "RUNNING"
    other = create_trial_run(
        create_study_run(store, "scenes", "other", tmp_path / "2"), "00003", "x"
    )
    assert other.run_id != first.run_id


def test_a_planned_trial_waits_for_its_own_process_whatever_becomes_of_the_planner(
    store: Store, tmp_path: Path
) -> None:
    study = create_study_run(store, "scenes", "collapse", tmp_path)
    run_id = plan_trial_run(study, "t01", {"objective.teacher_temp": 0.04, "seed": 0})
    planned = store.client.get_run(run_id)
    assert (planned.info.status, planned.info.run_name) == ("SCHEDULED", "t01")
    assert planned.data.params == {"objective.teacher_temp": "0.04", "seed": "0"}
    assert planned.data.tags["mlflow.parentRunId"] == study.run_id

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    store.client.set_tag(run_id, "poise.pid", str(ended.pid))
    assert reconcile(store) == [], "it was not running, so nobody killed it"
    begun = create_trial_run(study, "t01", tmp_path)
    assert begun.run_id == run_id
    assert store.client.get_run(run_id).info.status == "RUNNING"
    assert tags_of(begun)["poise.attempt"] == "1"
    log_recipe(begun, RECIPE, DATASETS)
    assert "poise.resumed_with" not in tags_of(begun), "what was planned is what the recipe says"

    finish(begun, "KILLED")
    assert plan_trial_run(study, "t01", {"seed": 0}) == run_id
    assert store.client.get_run(run_id).info.status == "KILLED", "until it is resumed"


def test_a_run_that_another_living_process_holds_is_not_taken_over(run: Run) -> None:
    parent = os.getppid()
    started_s = psutil.Process(parent).create_time() - psutil.boot_time()
    set_tags(run, {"poise.pid": parent, "poise.process_started_s": started_s})
    with pytest.raises(PoiseError, match=f"'dino-tiny' is in the hands of process {parent}"):
        create_run(run.store, "scenes", "dino-tiny", run.folder)


def test_the_recipe_is_parameters_tags_and_a_file(run: Run) -> None:
    log_recipe(run, RECIPE, DATASETS)
    data = run.store.client.get_run(run.run_id).data
    assert data.params["optimizer.base_lr"] == "0.0005"
    assert data.params["data.views.global_scale"] == "[0.4, 1.0]"
    assert data.params["training.stop_after_steps"] == "null"
    assert data.tags["poise.recipe"] == "dino-tiny"
    assert data.tags["poise.dataset_fingerprint"] == "ab12"
    read_back = Recipe.model_validate(yaml.safe_load(artifact(run, "recipe.yaml")))
    assert read_back == RECIPE


def test_parameters_are_written_once_and_changes_at_resume_are_told(run: Run) -> None:
    long = {"backbone": {"options": {"note": "x" * 9000}}, "seed": 1}
    tree = RECIPE.model_dump(mode="json")
    log_recipe(run, Recipe.model_validate(tree | {"backbone": long["backbone"]}), DATASETS)
    log_recipe(run, Recipe.model_validate(tree | long), DATASETS)
    data = run.store.client.get_run(run.run_id).data
    assert data.params["seed"] == "0"
    assert data.tags["poise.resumed_with"] == "seed=1"
    assert len(data.params["backbone.options.note"]) == 6000


def test_files_and_descriptions_are_artifacts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "attention.png").write_bytes(b"picture")
    log_files(run, [tmp_path / "attention.png"], "pictures")
    log_json(run, {"verdict": "healthy"}, "verdict.json")
    log_environment(run)
    assert artifact(run, "pictures/attention.png") == "picture"
    assert json.loads(artifact(run, "verdict.json")) == {"verdict": "healthy"}
    environment = json.loads(artifact(run, "environment.json"))
    assert environment["packages"]["mlflow"].startswith("3.17")
    assert environment["packages"]["scipy"] and environment["packages"]["optuna"], (
        "the one decides a study's intervals, the other what it tries next"
    )
    assert environment["cpu"]["cores"] >= 1


def test_steps_trained_again_after_a_resume_replace_the_first_attempt(run: Run) -> None:
    """The store keeps both, and shows the dead attempt's value until the new one passes it."""
    first = [Metric("loss/total", 1.0, timestamp=1000 + step, step=step) for step in range(6)]
    second = [Metric("loss/total", 2.0, timestamp=5000 + step, step=step) for step in range(3, 5)]
    run.store.client.log_batch(run.run_id, metrics=second + first)
    assert history(run.store, run.run_id, ["loss/total", "never"]) == {
        "loss/total": [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 1.0)],
        "never": [],
    }


def test_a_broken_store_is_one_line(run: Run) -> None:
    with pytest.raises(PoiseError, match=r"the MLflow store failed: .*nobody"):
        set_tags(Run(run.store, "nobody", "1", run.folder), {"a": math.pi})
