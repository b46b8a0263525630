"""What the small job before a job looks for, on nodes that are processes of this machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poise.cli.submit.cluster_facts import look_for, look_from_node, view_from
from poise.cli.submit.preflight import judge
from poise.config.checkpoint_storage import VARIABLE
from poise.config.errors import PoiseError
from poise.config.shared_folders import marked
from tests.data.builders import encode, smooth_image, write_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    write_dataset(tmp_path / "dataset", [encode(smooth_image(0, 24, 20))])
    return str(tmp_path / "dataset")


def test_a_node_tells_which_datasets_it_cannot_read(poise_home: Path, dataset: str) -> None:
    # A job whose bucket no node could read was sent, and failed only then.
    missing = f"{dataset}-nowhere"
    node = look_from_node((), [dataset, missing])
    assert list(node.dataset_faults) == [missing]
    assert "not a prepared dataset" in node.dataset_faults[missing]


def test_a_node_tells_in_which_folders_it_does_not_see_what_the_head_wrote(
    poise_home: Path, tmp_path: Path
) -> None:
    with marked([tmp_path / "shared", tmp_path / "scratch"]) as marks:
        assert look_from_node(marks, []).unseen == []
        Path(marks[1]).unlink()  # as on another disk, where there is a folder of the same name
        assert look_from_node(marks, []).unseen == [str(tmp_path / "scratch")]


def test_the_answer_of_a_cluster_survives_the_way_to_this_machine(
    poise_home: Path, tmp_path: Path, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def on_this_node(look: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        asked.append(arguments)
        return {"head": look(*arguments)}

    monkeypatch.setenv(VARIABLE, str(tmp_path / "checkpoints"))
    monkeypatch.setattr("poise.cluster.connection.start_ray", lambda: None)
    monkeypatch.setattr("poise.cluster.nodes.live_nodes", list)
    monkeypatch.setattr("poise.cluster.nodes.on_every_node", on_this_node)
    monkeypatch.setattr("poise.cluster.resources.most_resources", dict)
    answer = json.loads(json.dumps(look_for({"study": "s", "datasets": [dataset]})))
    view = view_from(answer)
    assert (view.home_fault, view.has_begun) == (None, False)
    assert (view.nodes["head"].unseen, view.nodes["head"].dataset_faults) == ([], {})
    ((marks, datasets),) = asked
    assert [Path(mark).parent for mark in marks] == [poise_home, tmp_path / "checkpoints"]
    assert datasets == [dataset]
    assert not any(Path(mark).exists() for mark in marks)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_folder_that_the_head_node_cannot_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POISE_HOME", "/proc/nowhere")
    view = view_from(look_for({"study": None, "datasets": []}))
    with pytest.raises(PoiseError, match="POISE_HOME=/proc/nowhere: cannot be used on the head"):
        list(judge(view, None))
