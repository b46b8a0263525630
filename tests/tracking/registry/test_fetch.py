import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from poise.config import PoiseError
from poise.models.checksums import damaged_files
from poise.models.package import load_backbone, save_backbone
from poise.tracking.registry import fetch
from poise.tracking.registry.fetch import ORIGIN_FILE, load_model, locate, read_files
from poise.tracking.registry.kept_copies import copy_folder
from poise.tracking.registry.registration import register_model
from poise.tracking.registry.version_lookup import find_model
from poise.tracking.run import Run, create_run
from poise.tracking.store import Store, open_store


@pytest.fixture
def uri(store: Store, package: Path, run: Run) -> str:
    return register_model(store, package, "scenes-vit", run.run_id, {"verdict": "healthy"})


def stored_in(store: Store, uri: str) -> Path:
    return Path(find_model(store, uri).source)


def copy_of(store: Store, uri: str) -> Path:
    return copy_folder(store, find_model(store, uri))


def test_a_fetched_package_is_a_copy_that_knows_where_it_came_from(
    store: Store, uri: str, package: Path, run: Run
) -> None:
    exact, folder = locate("scenes-vit@candidate", store)
    assert exact == uri
    origin = json.loads((folder / ORIGIN_FILE).read_text())
    assert (origin["uri"], origin["run_id"]) == (uri, run.run_id)
    (folder / "backbone.safetensors").unlink()  # a copy: the registry keeps its own
    images = torch.randn(1, 3, 32, 32)
    expected, _ = load_backbone(package)
    shutil.rmtree(folder)
    loaded, _ = load_model(uri, store)
    assert torch.equal(loaded(images), expected(images))


def test_a_model_is_fetched_once_and_read_from_a_folder_too(
    store: Store, uri: str, package: Path
) -> None:
    images = torch.randn(1, 3, 32, 32)
    expected = load_model(uri)[0](images)
    shutil.rmtree(stored_in(store, uri))
    for reference in ("scenes-vit", package):
        assert torch.equal(load_model(reference)[0](images), expected)


def test_files_that_were_deleted_are_an_error_though_mlflow_sees_none(
    store: Store, uri: str
) -> None:
    """Deleting a logged model leaves its version READY, and its download is an empty folder."""
    for file in stored_in(store, uri).iterdir():
        file.unlink()
    with pytest.raises(PoiseError, match="models:/scenes-vit/1: its files are gone"):
        locate(uri, store)
    assert list(copy_of(store, uri).parent.iterdir()) == []


def test_the_lost_files_of_a_copied_version_are_named_by_their_own_place(
    store: Store, uri: str
) -> None:
    """The source of a copy is the name of its original, which may be deleted."""
    place = stored_in(store, uri)
    store.client.copy_model_version(uri, "published")
    store.client.delete_model_version("scenes-vit", "1")
    for file in place.iterdir():
        file.unlink()
    with pytest.raises(PoiseError, match=f"models:/published/1: its files are gone from {place}"):
        locate("published/1", store)


def test_damage_in_the_store_never_reaches_the_copy(store: Store, uri: str) -> None:
    with (stored_in(store, uri) / "backbone.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(PoiseError, match=r"scenes-vit/1: backbone\.safetensors: damaged in"):
        locate(uri, store)
    assert not copy_of(store, uri).exists()


def test_two_processes_may_fetch_a_version_at_once(
    store: Store, uri: str, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_of(store, uri)

    def another_is_faster(fetched: Path) -> list[str]:
        shutil.copytree(package, folder)
        return damaged_files(fetched)

    monkeypatch.setattr(fetch, "damaged_files", another_is_faster)
    assert locate(uri, store) == (uri, folder)
    assert not (folder / ORIGIN_FILE).exists(), "the folder is that of the other process"
    assert list(folder.parent.iterdir()) == [folder]


def test_files_are_listed_without_fetching_the_weights(
    store: Store, uri: str, package: Path
) -> None:
    (stored_in(store, uri) / "backbone.safetensors").unlink()
    entry = read_files(store, find_model(store, uri))["backbone.safetensors"]
    content = (package / "backbone.safetensors").read_bytes()
    assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_two_stores_may_have_different_models_of_one_name(
    store: Store, uri: str, package: Path, tmp_path: Path
) -> None:
    other = open_store(f"sqlite:///{tmp_path}/other/mlflow.db")
    backbone, config = load_backbone(package)
    torch.nn.init.zeros_(next(backbone.parameters()))
    save_backbone(tmp_path / "changed", backbone, config)
    theirs = create_run(other, "scenes", "theirs", tmp_path / "theirs")
    assert register_model(other, tmp_path / "changed", "scenes-vit", theirs.run_id, {}) == uri
    folders = [locate("scenes-vit/1", each)[1] for each in (store, other, store)]
    assert folders[0] == folders[2] != folders[1]
    assert damaged_files(folders[0]) == damaged_files(folders[1]) == []
