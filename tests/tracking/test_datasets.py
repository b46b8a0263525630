from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.tracking.datasets import dataset_tags
from tests.builders import tiny_recipe
from tests.data.builders import write_blobs


def test_a_run_names_the_sets_that_its_probes_compare_beside_the_one_it_learns_from(
    tmp_path: Path,
) -> None:
    sets = {name: write_blobs(tmp_path / name, 4 + i) for i, name in enumerate(("a", "b", "c"))}
    trained, queries, bank = sets.values()
    folders = {"data__dataset": str(tmp_path / "a"), "evaluation__queries": str(tmp_path / "b")}
    alone = {"poise.dataset": "a", "poise.dataset_fingerprint": trained.fingerprint}
    watched = alone | {"poise.queries_fingerprint": queries.fingerprint}

    assert dataset_tags(tiny_recipe(**folders)) == watched
    with_bank = tiny_recipe(**folders, evaluation__bank=str(tmp_path / "c"))
    assert dataset_tags(with_bank) == watched | {"poise.bank_fingerprint": bank.fingerprint}
    assert dataset_tags(tiny_recipe(**folders, evaluation__every_epochs=None)) == alone
    with pytest.raises(PoiseError, match="missing: not a prepared dataset"):
        dataset_tags(tiny_recipe(**folders | {"evaluation__queries": str(tmp_path / "missing")}))
