"""Records of promotions: who gave an alias to which version, when and why.

In: the tags of a registered model. Out: ``Promotion`` objects, the newest first. Next:
``poise.tracking.registry.promotion`` adds records, ``poise.tracking.registry.promotion_undo`` marks
them, and the description of a version shows them.

The records of an alias are JSON in one tag, ``poise.promotions.<alias>``.
"""

import getpass
import json
import logging
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from poise.config.errors import PoiseError
from poise.tracking.store import Store, explained

logger = logging.getLogger(__name__)

_PREFIX = "poise.promotions."
_MAX_TAG = 5000  # largest number of characters of a registered model's tag


@dataclass(frozen=True)
class Promotion:
    """Record of one promotion."""

    version: int
    previous: int | None
    """Version that had the alias before, or None if no version had it."""

    by: str
    at: str
    why: str
    undone_by: str | None = None
    undone_at: str | None = None

    def __str__(self) -> str:
        """Writes the record: ``on 2026-11-30T12:00:00+00:00 by me@host: best k-NN``."""
        undone = f" (undone on {self.undone_at} by {self.undone_by})" if self.undone_at else ""
        return f"on {self.at} by {self.by}: {self.why}{undone}"

    @classmethod
    def made_now(cls, version: int, previous: int | None, why: str) -> "Promotion":
        """Makes the record of a promotion that this user makes now."""
        return cls(version, previous, _who(), _now(), why)

    def undone_now(self) -> "Promotion":
        """Returns this record, marked as undone by this user now."""
        return replace(self, undone_by=_who(), undone_at=_now())

    @property
    def versions(self) -> tuple[int, ...]:
        """Promoted version, and the version that had the alias before, if there was one."""
        return (self.version,) if self.previous is None else (self.version, self.previous)


def read_promotions(store: Store, name: str, alias: str) -> list[Promotion]:
    """Reads the promotions of an alias, the newest first.

    Raises:
        PoiseError: a user has changed the tag by hand.
    """
    return _read(name, f"{_PREFIX}{alias}", _tags(store, name).get(f"{_PREFIX}{alias}", "[]"))


def promotions_of(store: Store, name: str, version: int) -> list[tuple[str, Promotion]]:
    """Lists the promotions of one version: pairs of an alias and its record."""
    found = []
    for tag, text in sorted(_tags(store, name).items()):
        if tag.startswith(_PREFIX):
            try:
                records = _read(name, tag, text)
            except PoiseError as error:  # a damaged tag must not stop the list
                logger.warning("%s", error)
                continue
            alias = tag.removeprefix(_PREFIX)
            found += [(alias, each) for each in records if each.version == version]
    return found


def write_promotions(store: Store, name: str, alias: str, records: Sequence[Promotion]) -> None:
    """Writes as many of the newest promotion records as fit into an MLflow tag, at least one."""
    kept = len(records)
    while kept > 1 and len(_written(records[:kept])) > _MAX_TAG:
        kept -= 1
    store.client.set_registered_model_tag(name, f"{_PREFIX}{alias}", _written(records[:kept]))


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _written(records: Sequence[Promotion]) -> str:
    rows = [{key: value for key, value in asdict(each).items() if value} for each in records]
    complete = [{"previous": None} | row for row in rows]
    return json.dumps(complete, separators=(",", ":"), ensure_ascii=False)


def _read(name: str, tag: str, text: str) -> list[Promotion]:
    try:
        return [Promotion(**record) for record in json.loads(text)]
    except (ValueError, TypeError):
        raise PoiseError(
            f"{name}: its tag {tag} was changed by hand and holds no promotions; delete the tag "
            "on MLflow's page of the model"
        ) from None


@explained()
def _tags(store: Store, name: str) -> Mapping[str, str]:
    tags: Mapping[str, str] = store.registry.get_registered_model(name).tags
    return tags
