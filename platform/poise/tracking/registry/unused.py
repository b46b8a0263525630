"""Finds stored models that nothing uses, and deletes them.

In: a store. Out: models without a registered version, with their sizes. Next: ``poise models gc``.

MLflow keeps the files of a model when its version is deleted, even after ``mlflow gc``.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.tracking.registry.kept_copies import copies_folder, lost_copies
from poise.tracking.registry.registration import MODEL_TYPE
from poise.tracking.registry.version_lookup import location_of
from poise.tracking.registry.version_search import list_versions
from poise.tracking.store import Store, explained

_PAGE = 1000


@dataclass(frozen=True)
class Unused:
    """Files of a model that no registered version refers to."""

    what: str
    """Kind of files: ``model`` in the store, or ``copy`` that was fetched to this machine."""

    name: str
    place: str
    """Folder or address of the files."""

    bytes: int | None
    """Size in bytes, or None if the server does not report sizes."""

    model_id: str | None = None
    """Id of the model in MLflow, or None for a copy."""

    @property
    def folder(self) -> Path | None:
        """Folder on this machine, or None if the files are on a server."""
        return _folder(self.place)


@explained()
def find_unused(store: Store) -> list[Unused]:
    """Finds models in the store, and fetched copies, that have no registered version.

    A study refers to its registered versions, so its models are in use while the versions exist.
    Models that are still being uploaded, and models of other programs in the store, are left out.
    """
    # Models are listed before versions, because a model that is ready already has its version.
    ready = [model for model in _logged_models(store) if str(model.status) != "PENDING"]
    versions = list_versions(store)
    used = {_place(location_of(store, version)) for version in versions}
    models = [
        _of_model(store, model)
        for model in ready
        if model.model_type == MODEL_TYPE and not _is_used(model, used)
    ]
    copies = lost_copies(store, versions)
    return [*models, *(Unused("copy", name, str(at), _size(at)) for name, at in copies)]


def delete(store: Store, unused: Unused) -> None:
    """Deletes a model from the store, or a fetched copy, with its files.

    A server keeps the files of a model in its own storage. Only the server's owner can delete them.

    Raises:
        PoiseError: the files are outside the folder of the store, or cannot be deleted.
    """
    folder = unused.folder
    inside = copies_folder() if unused.model_id is None else Path(store.artifacts or "/nowhere")
    if folder is not None and inside.resolve() not in folder.resolve().parents:
        raise PoiseError(f"{folder}: is outside of {inside}, so it is not deleted; look at it")
    if folder is not None:
        _remove(folder)  # first: the store lists a model with left files again, but no deleted one
    if unused.model_id is not None:
        with explained(f"{unused.name}: could not be deleted"):
            store.client.delete_logged_model(unused.model_id)


def _remove(folder: Path) -> None:
    """Deletes a folder, while another process may be deleting it, too.

    ``rmtree`` stops at a file that vanished, so it is called until the folder is gone.
    """
    try:
        while folder.exists():
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)
    except OSError as error:
        raise PoiseError(
            f"{folder}: could not be deleted ({error.strerror or error}); check who owns it, and "
            "repeat `poise models gc`"
        ) from None


def _is_used(model: LoggedModel, used: set[str]) -> bool:
    return bool({_place(model.artifact_location), f"models:/{model.model_id}"} & used)


def _place(location: str) -> str:
    """Writes a location in one form, because MLflow accepts a folder as path and as URI."""
    return str(_folder(location) or location.rstrip("/"))


def _logged_models(store: Store) -> Iterator[LoggedModel]:
    ids = [each.experiment_id for each in store.client.search_experiments()]
    for experiment_id in ids:  # MLflow refuses too many experiments at once
        token = None
        while token != "":
            page = store.client.search_logged_models(
                [experiment_id], max_results=_PAGE, page_token=token
            )
            yield from page
            token = page.token or ""


def _of_model(store: Store, model: LoggedModel) -> Unused:
    place = model.artifact_location
    folder = _folder(place)
    size = _size(folder) if folder is not None else _size_on_server(store, model)
    return Unused("model", model.name, place, size, model.model_id)


def _folder(place: str) -> Path | None:
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(place)


def _size(folder: Path) -> int:
    """Adds the sizes of all files that can be read. Another process may delete some meanwhile."""
    size = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += Path(root, name).lstat().st_size
    return size


def _size_on_server(store: Store, model: LoggedModel) -> int | None:
    from mlflow.artifacts import list_artifacts

    try:
        found = list_artifacts(model.artifact_location, tracking_uri=store.uri)
    except (MlflowException, OSError):
        return None
    return sum(file.file_size or 0 for file in found)
