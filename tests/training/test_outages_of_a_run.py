"""A run survives a short outage of the storage that it reads from."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from poise.config.errors import OutageError
from poise.config.locations import Location
from poise.data import dataset as datasets
from poise.data.parquet_file import parquet_file
from poise.training.checkpoint import RUN_FILE
from poise.training.in_process import fit_in_process
from poise.training.spec import RunSpec
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset


class Flaky:
    """Function that fails at its first calls, as a network drive that is mounted again."""

    def __init__(self, function: Any) -> None:
        self.function, self.failures = function, 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return self.function(*arguments, **named)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> list[Flaky]:
    """The functions that open shards, read the tensors of a checkpoint, and its history."""
    opens, loads = Flaky(parquet_file), Flaky(torch.load)
    reads = Flaky(Location.read_text)

    def read(place: Location) -> Any:
        return reads(place) if place.name == RUN_FILE else reads.function(place)

    monkeypatch.setattr(datasets, "parquet_file", opens)
    monkeypatch.setattr(torch, "load", loads)
    monkeypatch.setattr(Location, "read_text", read)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    return [opens, loads, reads]


def test_a_run_waits_for_its_images_and_its_checkpoint(
    tmp_path: Path, flaky: list[Flaky], caplog: pytest.LogCaptureFixture
) -> None:
    # The first error reached every worker that was started again, so the run was over.
    write_dataset(tmp_path / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(32)])
    changes = {
        "data__dataset": str(tmp_path / "dataset"),
        "training__storage_patience_minutes": 0.02,  # 1.2 s: a second and a third attempt
    }
    first = tiny_recipe(training__stop_after_steps=4, **changes)
    fit_in_process(RunSpec(first, "run", Location.of(tmp_path / "runs")))
    for each in flaky:
        each.failures = 1
    there = fit_in_process(RunSpec(tiny_recipe(**changes), "run", Location.of(tmp_path / "runs")))
    here = fit_in_process(RunSpec(tiny_recipe(**changes), "whole", Location.of(tmp_path / "runs")))
    losses = [[metrics["loss/total"] for _, metrics in each.history] for each in (there, here)]
    assert losses[0] == losses[1]
    assert [each.failures for each in flaky] == [0, 0, 0]
    said = [each.getMessage() for each in caplog.records]
    assert len([text for text in said if "trying again for 1 s" in text]) == 3
    assert any(text.startswith(f"reading {tmp_path}/dataset/shard-00000.parquet") for text in said)


def test_patience_with_a_dataset_ends(tmp_path: Path, flaky: list[Flaky]) -> None:
    write_dataset(tmp_path / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(32)])
    recipe = tiny_recipe(
        data__dataset=str(tmp_path / "dataset"), training__storage_patience_minutes=0.001
    )
    flaky[0].failures = 100
    with pytest.raises(OutageError, match=r"shard-00000.parquet: cannot .*; check the disk or"):
        fit_in_process(RunSpec(recipe, "run", Location.of(tmp_path / "runs")))
