"""Paths that every node must have, without a cluster."""

from collections.abc import Callable
from pathlib import Path

import pytest

from poise.config.checkpoint_storage import VARIABLE, keep_storage
from poise.config.errors import PoiseError
from poise.runs import node_checks
from poise.runs.node_checks import check_nodes

Look = Callable[[list[str]], list[str]]


def test_a_local_poise_storage_that_another_node_does_not_share_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The check saw POISE_HOME alone, and checkpoints were written to the disk of each node.
    storage = tmp_path / "scratch"
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, str(storage))
    (tmp_path / "a").mkdir()
    keep_storage(tmp_path / "a")

    def on_both(look: Look, paths: list[str]) -> dict[str, list[str]]:
        own_disk = [path for path in paths if path.startswith(str(storage))]
        return {"head": look(paths), "10.0.0.6": own_disk}

    monkeypatch.setattr(node_checks, "live_nodes", lambda: ["head", "10.0.0.6"])
    monkeypatch.setattr(node_checks, "on_every_node", on_both)
    with pytest.raises(PoiseError, match=r"scratch/a: is not shared: .* by 10.0.0.6; set POISE_"):
        check_nodes([], "a")
    assert list((storage / "a").glob(".poise-check-*")) == []
