"""Gives an alias to a version that passes the gates, and stores a record of the promotion.

In: a version and gates. Out: the alias in MLflow, and a record of who gave the alias, when and why.
Next: ``models:/name@alias``, which now means this version.

The gates compare a version with the version that has the alias. So the check is repeated if
another promotion has moved the alias meanwhile.
"""

import re
from dataclasses import dataclass, replace

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

    @property
    def previous(self) -> int | None:
        """Number of the version with which the gates compared, or None if there is none."""
        return None if self.holder is None else self.holder.version


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

    The check may fetch files, so it runs without the lock of the registry.

    Raises:
        PoiseError: the version has the alias already, the reason is empty or too long, or the store
            refuses the alias.
    """
    why = _reason(why)
    while True:
        found = check(store, gates, version, alias)
        if not all(result.passed for result in found.results):
            return found
        with changing_registry():
            if read_aliases(store, version.name).get(alias) == found.previous:
                record = Promotion.made_now(version.version, found.previous, why)
                _promote(store, version, alias, record)
                return replace(found, record=record)


def _reason(why: str) -> str:
    why = " ".join(why.split())
    if not why or len(why) > MAX_WHY:
        raise PoiseError(
            f'--why: write a reason of 1 to {MAX_WHY} characters, such as --why "best k-NN of the '
            'sweep"'
        )
    return why


def _promote(store: Store, version: Version, alias: str, record: Promotion) -> None:
    earlier = read_promotions(store, version.name, alias)
    with explained(f"{version.uri}: the alias {alias} could not be set"):
        store.client.set_registered_model_alias(version.name, alias, str(version.version))
        write_promotions(store, version.name, alias, [record, *earlier])
        describe(store, version.name, *record.versions)
