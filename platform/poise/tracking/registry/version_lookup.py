"""Finds one registered version by its name.

In: a reference such as ``models:/name@best``. Out: a ``Version``, or an error that lists what
exists. Next: every command with a model as its argument.
"""

import re

from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError, first_few
from poise.tracking.registry.version import Version, version_of
from poise.tracking.registry.version_search import list_versions, read_aliases
from poise.tracking.store import Store, explained, is_absent


class UnknownVersionError(PoiseError):
    """Error for a reference that names no registered version."""


class UnknownModelError(UnknownVersionError):
    """Error for a name that no registered model has."""


def find_model(store: Store, reference: str) -> Version:
    """Finds the version that a reference names.

    Args:
        store: store to look in.
        reference: ``models:/name/3``, ``models:/name@alias`` or ``models:/name``. Without a number
            or alias, the newest version is returned. ``models:/`` may be left out.

    Raises:
        UnknownVersionError: there is no such version. The message lists the existing versions.
        PoiseError: the text is not a reference, or the store does not answer.
    """
    name, version, alias = _parse(reference)
    with explained():
        found = _look_up(store, name, version, alias)
        if found is None:
            raise _unknown(store, reference, name)
    return found


def is_exact(reference: str) -> bool:
    """Returns True if a reference contains a version number or an alias.

    Otherwise it is only the name of a model.
    """
    _, version, alias = _parse(reference)
    return version is not None or alias is not None


def _look_up(store: Store, name: str, version: int | None, alias: str | None) -> Version | None:
    registry = store.registry
    try:
        if alias is not None:
            return version_of(registry.get_model_version_by_alias(name, alias))
        if version is not None:
            return version_of(registry.get_model_version(name, str(version)))
    except MlflowException as error:
        if not is_absent(error):
            raise
        return None
    order = ["version_number DESC"]
    newest = registry.search_model_versions(f"name = '{name}'", max_results=1, order_by=order)
    return _look_up(store, name, int(newest[0].version), None) if newest else None


def _unknown(store: Store, reference: str, name: str) -> UnknownVersionError:
    versions = list_versions(store, name)
    if not versions:
        known = sorted({version.name for version in list_versions(store)})
        hint = f"there are {first_few(known)}" if known else "nothing is registered yet"
        return UnknownModelError(f"{reference}: no model is called '{name}'; {hint}")
    numbers = first_few([str(each.version) for each in reversed(versions)])
    aliases = first_few(sorted(read_aliases(store, name))) or "none"
    return UnknownVersionError(
        f"{reference}: '{name}' has versions {numbers} and aliases {aliases}"
    )


def location_of(store: Store, version: Version) -> str:
    """Returns the address of a version's files.

    A version that was copied in MLflow has the name of another version as its source. It still has
    its files if that version is deleted.
    """
    if not version.source.startswith("models:/"):
        return version.source
    with explained(f"{version.uri}: the place of its files is unknown"):
        found = store.registry.get_model_version_download_uri(version.name, str(version.version))
    return str(found)


def versions_of_run(store: Store, run_id: str) -> list[Version]:
    """Finds the versions that a run made, newest first."""
    with explained():
        found = store.registry.search_model_versions(f"run_id = '{run_id}'")
    versions = [version_of(each) for each in found]
    return sorted(versions, key=lambda each: each.created_ms, reverse=True)


def _parse(reference: str) -> tuple[str, int | None, str | None]:
    match = re.fullmatch(r"(?:models:/)?([^/@:']+)(?:/(\d{1,9})|@([\w-]+))?", reference)
    if match is None:
        raise PoiseError(
            f"{reference}: neither a folder nor a registered model; "
            "write models:/NAME/VERSION, models:/NAME@ALIAS or models:/NAME"
        )
    name, version, alias = match.groups()
    return name, int(version) if version else None, alias
