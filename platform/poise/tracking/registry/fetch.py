"""Fetches or loads registered backbones.

In: a reference such as ``models:/name@candidate``. Out: the backbone, or a folder with its package.
Every file of the package is verified. Next: evaluation.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.config.local_files import unused_name
from poise.config.redaction import redacted
from poise.models.checksums import (
    CHECKSUMS_FILE,
    damaged_files,
    read_checksums,
    verify_package,
)
from poise.models.fetched import fetched, is_remote
from poise.tracking.address import safe_line
from poise.tracking.ending import reconcile
from poise.tracking.registry.kept_copies import copy_folder
from poise.tracking.registry.version import Version
from poise.tracking.registry.version_lookup import UnknownModelError, find_model, location_of
from poise.tracking.store import Store, open_store

if TYPE_CHECKING:
    from torch import nn

ORIGIN_FILE = "origin.json"


def read_files(store: Store, version: Version) -> dict[str, dict[str, Any]]:
    """Reads the sizes and SHA-256 checksums of a version's files. The weights are not fetched."""
    with tempfile.TemporaryDirectory() as scratch:
        location = location_of(store, version)
        _download(store, f"{location}/{CHECKSUMS_FILE}", Path(scratch), version.uri)
        return read_checksums(scratch)


def _fetch(store: Store, version: Version, folder: Path) -> None:
    """Fetches a version's package. The folder is created only after all files are verified."""
    partial = unused_name(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        location = location_of(store, version)
        package = _download(store, location, partial, version.uri)
        _verify(package, version, location)
        origin = {"uri": version.uri, "run_id": version.run_id, "tags": version.tags}
        (package / ORIGIN_FILE).write_text(json.dumps(origin, indent=2) + "\n")
        _name(package, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _name(package: Path, folder: Path) -> None:
    """Renames a complete package to its final folder, whose name says which package it is.

    If another process has fetched the same version meanwhile, the folder of that process stays.
    """
    try:
        package.replace(folder)
    except OSError:
        if not folder.exists():
            raise
        verify_package(folder)


def load_model(
    reference: str | Path, store: Store | None = None
) -> tuple["nn.Module", dict[str, Any]]:
    """Loads a backbone and its config, from the folder of a package or from the registry.

    A fetched version is kept under ``POISE_HOME/models``. ``untrained:REFERENCE`` means the same
    architecture with random weights. Its config names no run, so evaluations of random weights are
    not logged to the run of the trained model.
    """
    # loads torch, which the other functions do not need
    from poise.models.package import loader_of

    trained, load = loader_of(reference)
    return load(find_package(trained, store))


def find_package(reference: str | Path, store: Store | None = None) -> Path:
    """Returns the folder of a backbone's package. A registered version is fetched if needed."""
    return locate(reference, store)[1]


def locate(reference: str | Path, store: Store | None = None) -> tuple[str, Path]:
    """Returns the exact name of a model, and the folder of its package.

    Args:
        reference: folder of a package, or a reference to a version as in ``find_model``.
        store: store of the registry. None opens the default store if the reference is not a folder.

    Returns:
        ``models:/NAME/VERSION`` or the absolute path of the folder, and the folder.

    Raises:
        PoiseError: there is no such model, or its files are missing or damaged.
    """
    if is_remote(reference):
        return str(reference), fetched(reference)
    if Path(reference).is_dir():
        folder = Path(reference).absolute()
        return str(folder), folder
    store = store or open_store()
    reconcile(store)
    try:
        version = find_model(store, str(reference))
    except UnknownModelError as error:
        raise PoiseError(f"{error}; nor is it a folder; see `poise models list`") from None
    kept = copy_folder(store, version)
    if kept.exists():
        verify_package(kept)  # its name says which package it is, even if the store lost the files
    else:
        _fetch(store, version, kept)
    return version.uri, kept


def _download(store: Store, source: str, folder: Path, uri: str) -> Path:
    # Without a destination, MLflow returns the original folder of a local store. Without both
    # addresses of the store, it asks its default store.
    try:
        return Path(
            download_artifacts(
                artifact_uri=source,
                dst_path=str(folder),
                tracking_uri=store.uri,
                registry_uri=store.uri,
            )
        )
    except (MlflowException, OSError) as error:
        raise PoiseError(
            f"{uri}: cannot be fetched from {redacted(source)}: {safe_line(error)}"
        ) from None


def _verify(folder: Path, version: Version, location: str) -> None:
    """Checks the files of a package that was fetched from a location.

    If a model's files were deleted, MLflow returns an empty folder without an error.
    """
    if not (folder / CHECKSUMS_FILE).is_file():
        raise PoiseError(f"{version.uri}: its files are gone from {redacted(location)}")
    damaged = damaged_files(folder)
    if damaged:
        raise PoiseError(f"{version.uri}: {', '.join(damaged)}: damaged in {redacted(location)}")
