import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from poise.config import PoiseError
from poise.sweeps import begin_study, find_study
from poise.sweeps.report import REPORT_FILE
from tests.builders import tiny_recipe
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.sweeps.builders import TEMPERATURE, make_record

__all__ = ["make_dataset"]  # a fixture


@pytest.fixture
def space_file(make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    queries = make_dataset("test", [0, 1, 2], seed=1)
    dataset = make_dataset("train", [0, 1, 2] * 6)
    recipe = tiny_recipe(data__dataset=str(dataset), evaluation__queries=str(queries))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    content: dict[str, Any] = {
        "name": "two",
        "recipe": "recipe.yaml",
        "parameters": {TEMPERATURE: {"grid_search": [0.04, 0.07]}},
    }
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_an_override_goes_to_the_space_or_to_its_recipe(space_file: Path) -> None:
    study = begin_study(str(space_file), ["concurrency=1", "training.epochs=3"], "a")
    assert (study.space.concurrency, study.recipe.training.epochs) == (1, 3)
    for wrong, message in (
        ("trails=3", "command line: no setting is called 'trails'; did you mean 'trials'?"),
        ("training.epoch=3", "command line: no setting is called 'training.epoch'; did you mean"),
        (f"{TEMPERATURE}=0.05", f"command line: '{TEMPERATURE}' varies in {space_file}; fix it"),
        ("concurrency=0", "command line: concurrency=0 must be at least 1"),
        ("training.batch_size=64", "training.batch_size=64 is more than the 18 images"),
    ):
        with pytest.raises(PoiseError, match=re.escape(message)):
            begin_study(str(space_file), [wrong])


def test_settings_that_no_trial_could_have_at_once_are_refused_before_the_first(
    space_file: Path,
) -> None:
    epochs = "parameters.training.epochs={choice: [2, 20]}"
    warmup = "parameters.optimizer.warmup_epochs={grid_search: [1, 9]}"
    with pytest.raises(PoiseError, match=r"warmup_epochs=9.0 is longer than training.epochs=2"):
        begin_study(str(space_file), [epochs, warmup, "trials=2"], "a")
    begin_study(str(space_file), [epochs.replace("2, ", ""), warmup], "b")


def test_a_name_is_taken_once(space_file: Path) -> None:
    begin_study(str(space_file), name="a")
    with pytest.raises(PoiseError, match="poise sweep --resume a`, or choose another --name"):
        begin_study(str(space_file), name="a")


def test_resuming_finds_the_latest_unfinished_sweep_of_the_space(space_file: Path) -> None:
    with pytest.raises(PoiseError, match="no unfinished study of two: there is none"):
        find_study(None, str(space_file))
    study = begin_study(str(space_file), ["training.epochs=3"], "a")
    # How many run at once may change; what they are may not.
    assert find_study(None, str(space_file), ["training.epochs=3", "concurrency=1"]) == study
    assert find_study("a", None) == study
    with pytest.raises(PoiseError, match=r"another recipe's training.epochs \(3 there, 2 here\)"):
        find_study(None, str(space_file))
    with pytest.raises(PoiseError, match="holds no such study; it holds a"):
        find_study("b", None)

    study.write(make_record("t01-s0"))
    study.write(make_record("t02-s0", state="failed", verdict=None))
    (study.folder / REPORT_FILE).touch()
    assert find_study(None, str(space_file), ["training.epochs=3"]) == study, "t02-s0 is left"
    study.write(make_record("t02-s0"))
    with pytest.raises(PoiseError, match="no unfinished study of two: all 1 are finished"):
        find_study(None, str(space_file), ["training.epochs=3"])
