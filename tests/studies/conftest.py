"""A space's file whose recipe and datasets are there."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import tiny_recipe
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.studies.builders import TEMPERATURE

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
