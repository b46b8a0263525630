"""Runs of an MLflow store as logs."""

from pathlib import Path

import pytest
from mlflow.entities import Metric, Param

from poise.config import PoiseError
from poise.diagnostics.judge import VerdictKind
from poise.diagnostics.logs.facts import Facts
from poise.diagnostics.logs.judging import judge_log
from poise.tracking.run_as_log import read_run
from poise.tracking.store import open_store

pytestmark = pytest.mark.slow


def test_a_run_is_judged_with_the_k_among_its_parameters(poise_home: Path) -> None:
    client = open_store().client
    run_id = client.create_run(client.create_experiment("theirs")).info.run_id
    points = [Metric("train_loss", 8.3178, 1000 + step, step) for step in range(0, 1000, 10)]
    client.log_batch(run_id, metrics=points, params=[Param("out_dim", "4096")])
    log = read_run(run_id)
    assert (log.layout, log.source, len(log.history)) == ("MLflow", f"runs:/{run_id}", 100)
    judged = judge_log(log, Facts())
    assert judged.facts.prototypes == 4096
    assert judged.verdict.kind is VerdictKind.AT_LN_K


def test_a_run_that_was_logged_without_steps_says_so(poise_home: Path) -> None:
    client = open_store().client
    run_id = client.create_run(client.create_experiment("theirs")).info.run_id
    for value in (9.0, 8.5, 8.0):
        client.log_metric(run_id, "loss", value)
    log = read_run(run_id)
    assert log.history == [(0, {"loss": 8.0})]
    assert "all values have step 0" in log.notes[0] and "step=STEP" in log.notes[0]


def test_a_young_run_of_poise_has_logged_only_step_0(poise_home: Path) -> None:
    client = open_store().client
    run_id = client.create_run(client.create_experiment("ours")).info.run_id
    client.log_batch(run_id, metrics=[Metric("eval/knn_top1", 30.0, 1, 0)])
    assert read_run(run_id).notes == ()


def test_an_unknown_run_and_one_without_metrics_are_refused(poise_home: Path) -> None:
    with pytest.raises(PoiseError, match="has no such run; name the store"):
        read_run("0" * 32)
    client = open_store().client
    run_id = client.create_run(client.create_experiment("theirs")).info.run_id
    with pytest.raises(PoiseError, match="has no metrics yet"):
        read_run(run_id)
