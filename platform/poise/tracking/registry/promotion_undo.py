"""Undoes the newest promotion of an alias.

In: the name of a model and an alias. Out: the alias at the version that had it before, and a record
of who undid the promotion, and when. Next: ``models:/name@alias``, which means that version again.
"""

from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.tracking.registry.changing import changing_registry
from poise.tracking.registry.description import describe
from poise.tracking.registry.promotion_records import (
    Promotion,
    read_promotions,
    write_promotions,
)
from poise.tracking.registry.version_search import read_aliases
from poise.tracking.store import Store, explained


def undo(store: Store, name: str, alias: str, version: int | None = None) -> Promotion:
    """Undoes the newest promotion of an alias. The previous version gets the alias again.

    Args:
        store: store with the registry.
        name: name of the model.
        alias: alias to give back.
        version: version that must have the alias now; None accepts every version.

    Raises:
        PoiseError: there is no promotion to undo, another program has moved the alias, another
            version has the alias, or the previous version is gone.
    """
    with changing_registry():
        return _undo(store, name, alias, version)


def _undo(store: Store, name: str, alias: str, version: int | None) -> Promotion:
    records = read_promotions(store, name, alias)
    index = next((i for i, each in enumerate(records) if each.undone_at is None), None)
    if index is None:
        raise PoiseError(f"{name}@{alias}: there is no promotion to undo")
    record = records[index]
    now = read_aliases(store, name).get(alias)
    if version not in (None, now):
        raise PoiseError(
            f"{name}/{version}: does not have the alias {alias}; to undo the newest promotion to "
            f"{alias}, write only the name {name}"
        )
    if now != record.version:
        holds = "no version" if now is None else f"version {now}"
        raise PoiseError(
            f"{name}@{alias}: names {holds}, but the newest promotion gave it to version "
            f"{record.version}; something else moved it, so nothing was undone"
        )
    with explained(f"{name}@{alias}: could not be undone"):
        _restore(store, name, alias, record)
        records[index] = record.undone_now()
        write_promotions(store, name, alias, records)
        describe(store, name, *record.versions)
    return record


def _restore(store: Store, name: str, alias: str, record: Promotion) -> None:
    if record.previous is None:
        store.client.delete_registered_model_alias(name, alias)
        return
    try:
        store.client.set_registered_model_alias(name, alias, str(record.previous))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise PoiseError(
            f"{name}@{alias}: version {record.previous}, which had the alias before, was deleted; "
            "promote another version"
        ) from None
