"""Models are opened by the words that a person types, and told apart by short labels."""

from pathlib import Path

import pytest
import torch

from poise.cli.evaluate.models import open_models
from poise.config.errors import PoiseError
from tests.packages import save_package


def test_a_model_is_compared_with_its_untrained_self(tmp_path: Path) -> None:
    package = save_package(tmp_path / "vit", lineage={"run_id": "a" * 32})
    trained, untrained = open_models([str(package), f"untrained:{package}"])
    assert (trained.label, untrained.label) == ("vit", "vit-untrained")
    assert trained.made_by == "a" * 32
    assert untrained.made_by is None
    first, second = (dict(each.backbone.named_parameters()) for each in (trained, untrained))
    assert first.keys() == second.keys()
    assert all(torch.isfinite(each).all() for each in second.values())


def test_an_untrained_model_needs_a_model_to_copy(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="nowhere"):
        open_models([f"untrained:{tmp_path}/nowhere"])


def test_a_model_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    package = save_package(tmp_path / "vit")
    with pytest.raises(PoiseError, match="named twice"):
        open_models([str(package), str(package)])
