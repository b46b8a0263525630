"""Workers of a run look whether they share its storage, before they train."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray.train

from poise.config import PoiseError
from poise.config.locations import Location
from poise.training import worker
from poise.training.spec import RunSpec
from tests.builders import tiny_recipe


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "home"))
    return RunSpec(tiny_recipe(), "a", Location.of(tmp_path / "storage"))


def test_the_folders_of_checkpoints_and_of_the_run_must_both_be_shared(
    spec: RunSpec, tmp_path: Path
) -> None:
    storage, own = tmp_path / "storage" / "a", tmp_path / "home" / "a"
    assert worker._folders(spec) == [storage]
    own.mkdir(parents=True)
    assert worker._folders(spec) == [storage, own]


def test_a_worker_that_does_not_see_the_runs_storage_ends_the_run_before_its_first_step(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SimpleNamespace(get_world_rank=lambda: 1, get_world_size=lambda: 2)
    monkeypatch.setattr(ray.train, "get_context", lambda: context)
    monkeypatch.setattr(ray.train, "get_checkpoint", lambda: None)
    monkeypatch.setattr(worker, "get_device", lambda: None)
    monkeypatch.setattr(worker, "train_on_worker", lambda *_: pytest.fail("it trained"))
    told: list[PoiseError] = []
    mailbox: Any = SimpleNamespace(
        failure=lambda: None, fail=told.append, lives=lambda: None, silent_s=lambda: 0.0
    )
    there = RunSpec(spec.recipe, "a", spec.storage, marks=(str(tmp_path / "scratch" / "mark"),))
    with pytest.raises(PoiseError, match="scratch: is not shared"):
        worker._train(there, mailbox)
    assert len(told) == 1, "so that the run is not tried again"
