import shutil
from pathlib import Path
from typing import Any

import pytest

from poise.config import PoiseError
from poise.tracking.registry.fetch import locate
from poise.tracking.registry.registration import register_model
from poise.tracking.registry.unused import Unused, delete, find_unused
from poise.tracking.run import create_run
from poise.tracking.store import Store, open_store


@pytest.fixture
def two(store: Store, package: Path, tmp_path: Path) -> Store:
    """Two versions of one model."""
    for name in ("first", "second"):
        run = create_run(store, "scenes", name, tmp_path / name)
        register_model(store, package, "vit", run.run_id, {})
    return store


def test_a_registered_model_is_never_unused(two: Store) -> None:
    assert find_unused(two) == []


def test_the_files_of_a_deleted_version_and_its_fetched_copy_are_found_and_deleted(
    two: Store,
) -> None:
    _, kept = locate("vit/1", two)
    _, copy = locate("vit/2", two)
    two.client.delete_model_version("vit", "2")
    model, found_copy = find_unused(two)
    assert (model.what, model.name) == ("model", "vit")
    assert model.folder is not None and model.bytes == sum(
        path.stat().st_size for path in model.folder.rglob("*") if path.is_file()
    )
    assert (found_copy.what, found_copy.name, found_copy.place) == ("copy", "vit/2", str(copy))
    for each in (model, found_copy):
        delete(two, each)
    assert find_unused(two) == []
    assert not copy.exists() and not model.folder.exists()
    shutil.rmtree(kept)
    assert locate("vit/1", two) == ("models:/vit/1", kept)


def test_files_outside_of_the_store_are_never_deleted(two: Store, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    for place in (
        str(precious),
        str(two.artifacts),
        f"{two.artifacts}/../../precious",
        precious.as_uri(),
    ):
        with pytest.raises(PoiseError, match="is outside of"):
            delete(two, Unused("model", "vit", place, 0, "m-1"))
        with pytest.raises(PoiseError, match="is outside of"):
            delete(two, Unused("copy", "vit/1", place, 0))
    assert precious.exists()


def test_the_models_of_other_programs_are_never_listed(two: Store) -> None:
    theirs = two.client.create_logged_model(two.experiment("scenes"), "theirs")
    two.client.finalize_logged_model(theirs.model_id, "READY")
    assert find_unused(two) == []


def test_the_files_of_a_copied_version_stay_after_the_original_is_deleted(
    two: Store,
) -> None:
    """MLflow stores ``models:/vit/1`` as the source of the copy."""
    two.client.copy_model_version("models:/vit/1", "published")
    two.client.delete_model_version("vit", "1")
    assert find_unused(two) == []
    assert (locate("published/1", two)[1] / "config.json").is_file()


def test_the_copies_of_another_store_are_not_listed(two: Store, tmp_path: Path) -> None:
    locate("vit/1", two)
    assert find_unused(open_store(f"sqlite:///{tmp_path}/other/mlflow.db")) == []


def test_files_that_cannot_be_deleted_are_named_and_listed_again(
    two: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.client.delete_model_version("vit", "2")
    (model,) = find_unused(two)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refused)
    with pytest.raises(PoiseError, match=r"could not be deleted \(Permission denied\)"):
        delete(two, model)
    assert find_unused(two) == [model]


def test_files_that_another_gc_deletes_meanwhile_do_not_stop_this_one(
    two: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's ``rmtree`` stops at a file that vanished. So files stayed that nothing listed."""
    two.client.delete_model_version("vit", "2")
    (model,) = find_unused(two)
    plain, vanished = shutil.rmtree, iter(["a file"])

    def stopped_once(folder: Path, **options: Any) -> None:
        for name in vanished:
            raise FileNotFoundError(2, "No such file or directory", name)
        plain(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", stopped_once)
    delete(two, model)
    assert model.folder is not None and not model.folder.exists()
    assert find_unused(two) == []
