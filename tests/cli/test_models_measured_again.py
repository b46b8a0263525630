"""The advice of a gate that failed, followed word by word."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poise.cli.main import run as poise
from poise.data.manifest import Manifest
from poise.tracking.registry.registration import register_model
from poise.tracking.run import create_run
from poise.tracking.store import open_store
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.packages import save_package

pytestmark = pytest.mark.slow

__all__ = ["make_dataset"]  # a fixture

GATES = """
verdicts: []
evaluations: []
knn: {margin_points: 100}
max_outlier_growth: null
max_forgotten_points: null
"""


def trained_on(dataset: Path) -> dict[str, Any]:
    return {"dataset": str(dataset), "dataset_fingerprint": Manifest.read(dataset).fingerprint}


def register(folder: Path, lineage: dict[str, Any]) -> None:
    """Registers the next version of the model ``vit``."""
    run = create_run(open_store(), "colours", folder.name, folder / "run")
    package = save_package(folder / "package", lineage={**lineage, "run_id": run.run_id})
    register_model(open_store(), package, "vit", run.run_id, {})


def elsewhere(train: Path, make: MakeDataset) -> dict[str, Any]:
    """The history of a model that was trained on a copy of the dataset."""
    return trained_on(Path(shutil.copytree(train, train.with_name("copy"))))


def otherwise(train: Path, make: MakeDataset) -> dict[str, Any]:
    """The history of a model that was trained on another dataset."""
    return trained_on(make("other", [0, 1, 2] * 4, seed=2))


@pytest.mark.parametrize("start", [elsewhere, otherwise])
def test_the_advice_of_the_gate_makes_the_difference_paired(
    start: Callable[[Path, MakeDataset], dict[str, Any]],
    poise_home: Path,
    make_dataset: MakeDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = make_dataset("train", [0, 1, 2] * 6)
    test = make_dataset("test", [0, 1, 2] * 4, seed=1)
    register(tmp_path / "first", trained_on(train))
    register(tmp_path / "second", start(train, make_dataset))
    gates = tmp_path / "gates.yaml"
    gates.write_text(GATES, encoding="utf-8")
    promote = ["models", "promote", "--to", "best", "--why", "x", "--gates", str(gates)]
    assert poise([*promote, "vit/1"]) == 0
    capsys.readouterr()

    assert poise([*promote, "vit/2"]) == 2
    commands = re.findall("`poise (evaluate knn [^`]+)`", capsys.readouterr().out)
    assert len(commands) == 2
    for command in commands:
        places = {"TEST": str(test), "TRAIN": str(train)}
        assert poise([places.get(word, word) for word in command.split()]) == 0
    capsys.readouterr()

    assert poise([*promote, "vit/2"]) == 0, capsys.readouterr().out
    assert "paired over 12 images" in capsys.readouterr().out
    page = str(tmp_path / "page.html")
    assert poise(["models", "compare", "vit/1", "vit/2", "--out", page]) == 0
    assert ", paired" in capsys.readouterr().out
