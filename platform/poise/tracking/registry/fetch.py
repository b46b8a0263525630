"""Fetches or loads registered backbones.

In: a reference such as ``models:/name@candidate``. Out: its package in a folder, with every file
verified, or the backbone itself. Next: evaluation.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.config.paths import home
from poise.models.checksums import (
    CHECKSUMS_FILE,
    WEIGHTS_FILE,
    damaged_files,
    read_checksums,
    verify_package,
)
from poise.tracking.address import safe_line
from poise.tracking.ending import reconcile
from poise.tracking.registry.versions import UnknownModelError, Version, find_model
from poise.tracking.store import Store, open_store

if TYPE_CHECKING:
    from torch import nn

ORIGIN_FILE = "origin.json"


def read_files(store: Store, version: Version) -> dict[str, dict[str, Any]]:
    """Reads sizes and SHA-256 of a version's files without fetching the weights."""
    with tempfile.TemporaryDirectory() as scratch:
        _download(store, f"{version.source}/{CHECKSUMS_FILE}", Path(scratch), version.uri)
        return read_checksums(scratch)


def pull(store: Store, reference: str, folder: str | Path) -> Path:
    """Fetches a version's package. The folder appears only when every file is verified.

    Args:
        store: store in which it is registered.
        reference: reference to a model, as in ``find_model``.
        folder: folder for the package. If it already holds this version, it is not changed.

    Raises:
        PoiseError: there is no such version, its files are missing or damaged, or the folder holds
            something else.
    """
    version, folder = find_model(store, reference), Path(folder)
    if folder.exists():
        _check_same(version, folder)
        return folder
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        package = _download(store, version.source, partial, version.uri)
        _verify(package, version)
        origin = {"uri": version.uri, "run_id": version.run_id, "tags": version.tags}
        (package / ORIGIN_FILE).write_text(json.dumps(origin, indent=2) + "\n")
        package.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def load_model(
    reference: str | Path, store: Store | None = None
) -> tuple["nn.Module", dict[str, Any]]:
    """Loads a backbone and its config, from a package's folder or from the registry.

    Registered versions are kept under ``POISE_HOME/models`` after they are fetched.
    """
    from poise.models.package import (
        load_backbone,
    )  # loads torch, which the other functions do not need

    return load_backbone(find_package(reference, store))


def find_package(reference: str | Path, store: Store | None = None) -> Path:
    """The folder of a backbone's package, fetched from the registry where it is not a folder."""
    return Path(reference) if Path(reference).is_dir() else locate(reference, store)[1]


def locate(reference: str | Path, store: Store | None = None) -> tuple[str, Path]:
    """The exact name of a model, and the folder of its package.

    Args:
        reference: the folder of a package, or a reference as in ``find_model``.
        store: none opens the default one, and only if the reference is no folder.

    Returns:
        ``models:/NAME/VERSION`` or the folder's absolute path, and the folder.

    Raises:
        PoiseError: there is no such model, or its files are gone or damaged.
    """
    if Path(reference).is_dir():
        folder = Path(reference).absolute()
        return str(folder), folder
    store = store or open_store()
    reconcile(store)
    try:
        version = find_model(store, str(reference))
    except UnknownModelError as error:
        raise PoiseError(f"{error}; nor is it a folder; see `poise models list`") from None
    kept = home() / "models" / version.name / str(version.version)
    return version.uri, pull(store, version.uri, kept)


def _download(store: Store, source: str, folder: Path, uri: str) -> Path:
    # Without a destination, MLflow returns the original folder of a local store.
    try:
        return Path(
            download_artifacts(artifact_uri=source, dst_path=str(folder), tracking_uri=store.uri)
        )
    except (MlflowException, OSError) as error:
        raise PoiseError(f"{uri}: cannot be fetched from {source}: {safe_line(error)}") from None


def _verify(folder: Path, version: Version) -> None:
    """Checks a fetched package. If a model's files were deleted, MLflow gives an empty folder."""
    if not (folder / CHECKSUMS_FILE).is_file():
        raise PoiseError(f"{version.uri}: its files are gone from {version.source}")
    damaged = damaged_files(folder)
    if damaged:
        raise PoiseError(f"{version.uri}: {', '.join(damaged)}: damaged in {version.source}")


def _check_same(version: Version, folder: Path) -> None:
    weights = verify_package(folder)[WEIGHTS_FILE]["sha256"]
    if weights != version.tags.get("weights_sha256"):
        raise PoiseError(f"{folder}: already holds another model than {version.uri}")
