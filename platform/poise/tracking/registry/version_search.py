"""Finds registered versions among thousands.

In: a ``Query``. Out: ``Version`` objects with their aliases. Next: ``poise models list``.

MLflow's own search makes an object for every tag of every version. For 10,000 versions this takes
seconds, and the result has no aliases. So a database is read directly, with one query for versions
and one for aliases. A server is read through MLflow's client, which filters by name and tags.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModelAlias,
    SqlRegisteredModelTag,
)

from poise.config.errors import PoiseError
from poise.config.redaction import redacted
from poise.tracking.address import safe_line
from poise.tracking.registry.list_filters import Query
from poise.tracking.registry.version import PREFIX, Version, version_of
from poise.tracking.store import Store, explained

_PAGE = 10_000
_VERSIONS: Any = SqlModelVersion.__table__
_TAGS: Any = SqlModelVersionTag.__table__
_ALIASES: Any = SqlRegisteredModelAlias.__table__
_MODEL_TAGS: Any = SqlRegisteredModelTag.__table__
_KEY = ("workspace", "name", "version")

_Aliases = Mapping[tuple[str, int], tuple[str, ...]]


class Found(NamedTuple):
    """Versions that a query found."""

    versions: list[Version]
    total: int
    """Number of matching versions, including those beyond the limit of the query."""


def search_versions(store: Store, query: Query) -> Found:
    """Finds the versions that match a query, in its sort order.

    Raises:
        PoiseError: the store does not answer, or no version has a metric of the query.
    """
    if store.is_server:
        return _from_server(store, query)
    try:
        engine = sqlalchemy.create_engine(store.uri, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return _from_database(connection, query)
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise PoiseError(
            f"{redacted(store.uri)}: the registry cannot be read: {safe_line(error)}"
        ) from None


def list_versions(store: Store, name: str | None = None) -> list[Version]:
    """Lists all versions of one model or of all models, newest first."""
    return search_versions(store, Query(name)).versions


def read_aliases(store: Store, name: str) -> dict[str, int]:
    """Maps each alias of a model to its version number."""
    with explained():
        found = store.registry.get_registered_model(name).aliases
    return {alias: int(version) for alias, version in found.items()}


def _narrowed(query: Query, found: list[Version]) -> Found:
    """Applies the parts of a query that the store cannot: measured values, sort order and limit."""
    query.check_metrics(found)
    chosen = query.chosen(found)
    return Found(chosen[: query.limit], len(chosen))


# ---- a database ----------------------------------------------------------------------------------


def _from_database(connection: sqlalchemy.Connection, query: Query) -> Found:
    matching = _matching(query)
    total = None
    if query.limit is not None and not query.needs_figures:
        count = sqlalchemy.select(sqlalchemy.func.count()).select_from(matching.subquery())
        total = connection.execute(count).scalar_one()
        newest = (_VERSIONS.c.creation_time.desc(), _VERSIONS.c.version.desc())
        matching = matching.order_by(*newest).limit(query.limit)
    aliases = _read_aliases(connection, query.name)
    found = _narrowed(query, _read_versions(connection, matching, aliases))
    return found if total is None else Found(found.versions, total)


def _matching(query: Query) -> Any:
    """Makes the SQL query for versions with the query's name, tags and alias."""
    columns = ("creation_time", "run_id", "source")
    found = sqlalchemy.select(*(_VERSIONS.c[each] for each in (*_KEY, *columns))).where(
        _VERSIONS.c.current_stage != STAGE_DELETED_INTERNAL, _VERSIONS.c.name.not_in(_prompts())
    )
    if query.name is not None:
        found = found.where(_VERSIONS.c.name == query.name)
    for key, value in query.tags.items():
        tag = _TAGS.alias()
        found = found.join(tag, _same(_VERSIONS, tag)).where(
            tag.c.key == f"{PREFIX}{key}", tag.c.value == value
        )
    if query.alias is not None:
        found = found.join(_ALIASES, _same(_VERSIONS, _ALIASES)).where(
            _ALIASES.c.alias == query.alias
        )
    return found


def _prompts() -> Any:
    """Makes the SQL query for names of prompts. MLflow stores prompts in the same tables."""
    return sqlalchemy.select(_MODEL_TAGS.c.name).where(
        _MODEL_TAGS.c.key == IS_PROMPT_TAG_KEY, _MODEL_TAGS.c.value == "true"
    )


def _same(one: Any, other: Any) -> Any:
    return sqlalchemy.and_(*(one.c[each] == other.c[each] for each in _KEY))


def _read_versions(
    connection: sqlalchemy.Connection, matching: Any, aliases: _Aliases
) -> list[Version]:
    chosen = matching.subquery()
    rows = connection.execute(sqlalchemy.select(chosen)).all()
    tags: dict[tuple[str, int], dict[str, str]] = {(row.name, row.version): {} for row in rows}
    columns = (_TAGS.c.name, _TAGS.c.version, _TAGS.c.key, _TAGS.c.value)
    joined = sqlalchemy.select(*columns).join(chosen, _same(chosen, _TAGS))
    for name, version, key, value in connection.execute(joined):
        tags.setdefault((name, version), {})[key] = value or ""
    return [
        Version(
            name=row.name,
            version=row.version,
            aliases=aliases.get((row.name, row.version), ()),
            created_ms=row.creation_time,
            run_id=row.run_id or "",
            source=row.source or "",
            stored_tags=tags[row.name, row.version],
        )
        for row in rows
    ]


def _read_aliases(connection: sqlalchemy.Connection, name: str | None) -> _Aliases:
    query = sqlalchemy.select(_ALIASES.c.name, _ALIASES.c.version, _ALIASES.c.alias)
    if name is not None:
        query = query.where(_ALIASES.c.name == name)
    by_version: dict[tuple[str, int], tuple[str, ...]] = {}
    for model, version, alias in sorted(connection.execute(query)):
        by_version[model, version] = (*by_version.get((model, version), ()), alias)
    return by_version


# ---- a server ------------------------------------------------------------------------------------


@explained()
def _from_server(store: Store, query: Query) -> Found:
    if query.alias is not None:
        return _narrowed(query, _of_alias(store, query, query.alias))
    found: list[Version] = []
    token = None
    while token != "":
        page = store.registry.search_model_versions(
            _condition(query), max_results=_PAGE, page_token=token
        )
        found += [version_of(each) for each in page]
        token = page.token or ""
    narrowed = _narrowed(query, found)
    by_name = {name: read_aliases(store, name) for name in {v.name for v in narrowed.versions}}
    return Found([_with_aliases(each, by_name[each.name]) for each in narrowed.versions],
                 narrowed.total)  # fmt: skip


def _condition(query: Query) -> str | None:
    """Writes the filters for name and tags in MLflow's filter language."""
    parts = [f"name = {_quoted(query.name)}"] if query.name is not None else []
    parts += [f"tags.`{PREFIX}{key}` = {_quoted(value)}" for key, value in query.tags.items()]
    return " and ".join(parts) or None


def _quoted(text: str) -> str:
    for quote in ("'", '"'):
        if quote not in text:
            return f"{quote}{text}{quote}"
    raise PoiseError(
        f"{text}: no tag can have both kinds of quotes; use a value of `poise models list`"
    )


def _of_alias(store: Store, query: Query, alias: str) -> list[Version]:
    """Finds, for each model, the version that has the alias."""
    found: list[Version] = []
    token = None
    while token != "":
        page = store.registry.search_registered_models(max_results=1000, page_token=token)
        for model in page:
            if alias in model.aliases and query.name in (None, model.name):
                at = store.registry.get_model_version_by_alias(model.name, alias)
                found.append(_with_aliases(version_of(at), model.aliases))
        token = page.token or ""
    return [
        each
        for each in found
        if all(each.tags.get(key) == value for key, value in query.tags.items())
    ]


def _with_aliases(version: Version, aliases: Mapping[str, Any]) -> Version:
    own = tuple(sorted(each for each, number in aliases.items() if int(number) == version.version))
    return replace(version, aliases=own)
