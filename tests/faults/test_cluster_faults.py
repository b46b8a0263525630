"""Faults that hit processes of a run on Ray. `make faults` has them at moments that it draws."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import cluster_faults
from tests.faults.autoscaled import sweep_gets_nodes
from tests.faults.campaign import RESUMED, WENT_ON
from tests.faults.cluster_arena import ClusterArena, cluster_arena
from tests.faults.cluster_faults import Hit, Moment

pytestmark = [pytest.mark.ray, pytest.mark.heavy]


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[ClusterArena]:
    with cluster_arena(tmp_path_factory.mktemp("cluster"), migrated_file) as arena:
        yield arena


def test_a_run_whose_command_is_killed_is_resumed_at_once_as_the_uninterrupted_run(
    arena: ClusterArena,
) -> None:
    row = cluster_faults.command_is_killed(arena, Moment("killed-command", 10))
    assert row.outcome == RESUMED


@pytest.mark.parametrize(
    ("hit", "outcome"),
    [
        (cluster_faults.worker_is_killed, WENT_ON),
        (cluster_faults.worker_has_notice, WENT_ON),
        (cluster_faults.command_has_notice, RESUMED),
        (cluster_faults.server_is_killed, WENT_ON),
        (cluster_faults.batch_never_comes, RESUMED),
        (cluster_faults.worker_is_stopped, RESUMED),
        (cluster_faults.node_is_killed, WENT_ON),
        (cluster_faults.node_is_drained, WENT_ON),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_run_on_ray_that_a_fault_hits_ends_as_the_uninterrupted_run(
    arena: ClusterArena, hit: Hit, outcome: str
) -> None:
    row = hit(arena, Moment(hit.__name__.replace("_", "-"), 10, rank=1))
    assert row.outcome == outcome


def test_a_sweep_gets_a_node_from_the_autoscaler_and_gives_it_back(
    tmp_path: Path, migrated_file: Path
) -> None:
    sweep_gets_nodes(tmp_path, migrated_file)
