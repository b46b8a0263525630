"""Arguments and texts that the commands of `poise models` share.

In: a version. Out: texts and plain values for tables and JSON. Next: the commands of
`poise models`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.completion import complete_model
from poise.config.redaction import redacted

if TYPE_CHECKING:
    from poise.tracking.registry.version import Version

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME[/VERSION|@ALIAS]",
        help="Default: the newest version.",
        autocompletion=complete_model,
    ),
]


def described(version: Version) -> dict[str, Any]:
    """Returns a version as a dict for JSON."""
    return {
        "uri": version.uri,
        "name": version.name,
        "version": version.version,
        "aliases": list(version.aliases),
        "created": created(version),
        "run_id": version.run_id,
        "source": redacted(version.source),
        "tags": version.tags,
        "figures": version.plain_figures,
    }


def created(version: Version) -> str:
    """Returns the time at which a version was registered, in the time zone of this machine."""
    from datetime import datetime

    return datetime.fromtimestamp(version.created_ms / 1000).astimezone().isoformat(" ", "seconds")


def at(version: Version) -> str:
    """Writes the aliases of a version, such as ``@best @production``, or ``-`` without an alias."""
    return " ".join(f"@{alias}" for alias in version.aliases) or "-"
