"""Nothing that a run keeps or a study prints shows the user of the store, who may be a token."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from poise.tracking.environment import describe_environment
from poise.tracking.known_run import KNOWN_RUN_FILE, keep_run
from poise.tracking.links import study_link
from poise.tracking.store import Store

TOKEN = "hunter2"


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives every store a client whose runs are in experiment 3."""
    run = SimpleNamespace(info=SimpleNamespace(experiment_id="3"))
    client = SimpleNamespace(get_run=lambda run_id: run)
    monkeypatch.setattr(Store, "client", property(lambda self: client))


def test_the_link_to_charts_on_a_server_has_no_user(answering: None) -> None:
    link = study_link(Store(f"http://{TOKEN}@host:5000", None), "1")
    assert link.url.startswith("http://host:5000/#/experiments/3/runs?")
    assert link.command is None


def test_the_command_that_shows_a_databases_charts_names_the_variable_and_not_the_address(
    answering: None,
) -> None:
    link = study_link(Store(f"postgresql://me:{TOKEN}@db/runs", None), "1")
    assert link.command is not None and TOKEN not in link.command
    assert 'MLFLOW_BACKEND_STORE_URI="$MLFLOW_TRACKING_URI"' in link.command
    link = study_link(Store("sqlite:////data/mlflow.db", None), "1")
    assert link.command is not None
    assert "--backend-store-uri sqlite:////data/mlflow.db" in link.command


def test_the_record_of_a_folders_run_hides_the_user(tmp_path: Path) -> None:
    keep_run(tmp_path, Store(f"postgresql://{TOKEN}@db/runs", None), "1")
    assert "postgresql://***@db/runs" in (tmp_path / KNOWN_RUN_FILE).read_text()


def test_the_command_in_a_runs_environment_hides_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["poise", "x", f"http://{TOKEN}@host"])
    assert describe_environment()["command"] == "poise x http://***@host"
