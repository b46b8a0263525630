"""`cluster.yaml` is one that Ray's cluster launcher takes."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

LAUNCHER_FILE = Path(__file__).resolve().parents[2] / "cluster.yaml"


@pytest.fixture
def launcher() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(LAUNCHER_FILE.read_text())
    return config


def test_the_file_as_written_fits_rays_schema(launcher: dict[str, Any]) -> None:
    # The file with Ray's defaults filled in would hide a missing name.
    schema = Path(ray.autoscaler.__file__).with_name("ray-schema.json")
    check = jsonschema.Draft7Validator(json.loads(schema.read_text()))
    assert [error.message for error in check.iter_errors(launcher)] == []
    del launcher["cluster_name"]
    assert [error.message for error in check.iter_errors(launcher)] != []


def test_ray_accepts_the_file_with_its_defaults_filled_in(launcher: dict[str, Any]) -> None:
    # The schema alone takes a head node type that does not exist, and bounds that cross.
    validate_config(prepare_config(copy.deepcopy(launcher)))
    launcher["head_node_type"] = "nowhere"
    with pytest.raises(Exception, match="head_node_type"):
        validate_config(prepare_config(launcher))


def test_training_cannot_take_the_head_node_down(launcher: dict[str, Any]) -> None:
    head = launcher["available_node_types"][launcher["head_node_type"]]
    assert head["resources"]["CPU"] == 0


def test_no_node_type_may_outgrow_the_cluster(launcher: dict[str, Any]) -> None:
    types = launcher["available_node_types"].values()
    assert sum(node.get("max_workers", 0) for node in types) <= launcher["max_workers"]
    assert "127.0.0.1" in " ".join(launcher["head_start_ray_commands"])
