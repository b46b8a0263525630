"""Gives an alias to a version, stores a record of the promotion, and can undo it.

In: a version and gates. Out: the alias in MLflow, and a record of who gave the alias, when and why.
Next: ``models:/name@alias``, which now means this version.

The gates compare a version with the version that has the alias. So no other promotion on this
machine may move the alias between this check and the change.
"""

import getpass
import re
import socket
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.config.gates import Gates
from poise.tracking.registry.changing import changing_registry
from poise.tracking.registry.description import describe
from poise.tracking.registry.gates import GateResult, check_gates
from poise.tracking.registry.promotion_records import (
    Promotion,
    read_promotions,
    write_promotions,
)
from poise.tracking.registry.recommendation import describe_model
from poise.tracking.registry.registration import CANDIDATE
from poise.tracking.registry.version import Version
from poise.tracking.registry.version_lookup import find_model
from poise.tracking.registry.version_search import read_aliases
from poise.tracking.store import Store, explained

MAX_WHY = 300
"""Largest number of characters of the reason for a promotion."""

_RESERVED = re.compile(r"(?i)latest|v\d+")


def read_alias(text: str) -> str:
    """Reads an alias that a user wrote: ``production`` or ``@production``.

    Raises:
        PoiseError: MLflow does not accept the alias, or Poise itself moves it to new versions.
    """
    alias = text.removeprefix("@")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", alias):
        raise PoiseError(f"--to {text!r}: an alias has letters, digits, '_' and '-', such as best")
    if _RESERVED.fullmatch(alias):
        raise PoiseError(f"--to {text}: MLflow keeps this alias for itself; choose another")
    if alias == CANDIDATE:
        raise PoiseError(f"--to {text}: Poise moves this alias to each new version; choose another")
    return alias


def holder_of(store: Store, name: str, alias: str) -> Version | None:
    """Returns the version of a model that has an alias, or None if no version has the alias."""
    number = read_aliases(store, name).get(alias)
    return None if number is None else find_model(store, f"{name}/{number}")


@dataclass(frozen=True)
class Checked:
    """Results of the gates for a version, and the record of its promotion."""

    results: list[GateResult]
    holder: Version | None
    """Version with which the gates compared. It had the alias before."""

    record: Promotion | None
    """Record of the promotion. It is None if a gate failed, or if only the gates were checked."""


def check(store: Store, gates: Gates, version: Version, alias: str) -> Checked:
    """Checks the gates for a version, and changes nothing.

    Raises:
        PoiseError: the version has the alias already.
    """
    holder = holder_of(store, version.name, alias)
    if holder is not None and holder.version == version.version:
        raise PoiseError(f"{version.uri}: has the alias {alias} already")
    return Checked(check_gates(store, gates, version, holder), holder, None)


def promote_if_passed(
    store: Store, gates: Gates, version: Version, alias: str, why: str
) -> Checked:
    """Checks the gates for a version. If all pass, gives the alias to the version.

    Raises:
        PoiseError: as in ``check`` and ``promote``.
    """
    why = _reason(why)
    with changing_registry():
        found = check(store, gates, version, alias)
        if not all(result.passed for result in found.results):
            return found
        return replace(found, record=_promote(store, version, alias, why))


def promote(store: Store, version: Version, alias: str, why: str) -> Promotion:
    """Gives an alias to a version and stores a record of the promotion.

    Raises:
        PoiseError: the reason is empty or too long, or the store refuses the alias.
    """
    why = _reason(why)
    with changing_registry():
        return _promote(store, version, alias, why)


def _reason(why: str) -> str:
    why = " ".join(why.split())
    if not why or len(why) > MAX_WHY:
        raise PoiseError(
            f'--why: write a reason of 1 to {MAX_WHY} characters, such as --why "best k-NN of the '
            'sweep"'
        )
    return why


def _promote(store: Store, version: Version, alias: str, why: str) -> Promotion:
    holder = holder_of(store, version.name, alias)
    earlier = read_promotions(store, version.name, alias)
    record = Promotion(version.version, holder.version if holder else None, _who(), _now(), why)
    with explained(f"{version.uri}: the alias {alias} could not be set"):
        store.client.set_registered_model_alias(version.name, alias, str(version.version))
        write_promotions(store, version.name, alias, [record, *earlier])
        _describe(store, version.name, record)
    return record


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
        records[index] = replace(record, undone_by=_who(), undone_at=_now())
        write_promotions(store, name, alias, records)
        _describe(store, name, record)
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
            f"promote another version"
        ) from None


def _describe(store: Store, name: str, record: Promotion) -> None:
    """Updates the descriptions of the promoted version, the previous version and the model."""
    for number in (record.version, record.previous):
        if number is not None:
            describe(store, name, number)
    describe_model(store, name)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
