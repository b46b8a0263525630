"""Nodes of Ray that tests and recorded sessions start, with a program in the place of `ray`."""

from pathlib import Path

import pytest

from pipelines import ray_nodes
from tests.waiting import wait_until


def test_a_node_starts_with_its_own_options_and_ends_with_all_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_nodes, "BIN", tmp_path)
    program, log = tmp_path / "ray", tmp_path / "log"
    program.write_text('#!/bin/sh\necho "$RAY_AUTH_MODE" "$@"\nsleep 600\n')
    program.chmod(0o755)
    environment = ray_nodes.node_environment(tmp_path, tmp_path)
    options = ray_nodes.head_options(8265) | {"num-cpus": 3}
    node = ray_nodes.start_node(environment, log, options)
    wait_until(lambda: log.read_text().endswith("\n"))
    mode, *words = log.read_text().split()
    assert (mode, words[:2]) == ("token", ["start", "--block"])
    assert {"--head", "--dashboard-port=8265", "--num-cpus=3"} <= set(words)
    assert "--num-cpus=1" not in words
    ray_nodes.end_node(node)
    assert node.returncode is not None
    ray_nodes.end_node(node)  # it has ended already


def test_a_node_does_not_take_over_the_settings_of_another_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://other:10001")
    environment = ray_nodes.node_environment(tmp_path / "home", tmp_path)
    assert "RAY_ADDRESS" not in environment
    assert environment["POISE_HOME"] == str(tmp_path / "home" / "runs")
    assert ray_nodes.free_port() >= 20000
