"""Content of the index page, which lists all other pages.

In: the folder of runs and studies, and the registry. Out: rows of studies and models. Next:
``poise.reports.served.server``.
"""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from poise.config.paths import home
from poise.reports.study.files import REPORT_FILE
from poise.tracking.registry.list_filters import Query
from poise.tracking.registry.version_search import Found, search_versions
from poise.tracking.store import Store

MOST_VERSIONS = 200


class StudyLink(NamedTuple):
    """Link to the report of a study."""

    name: str
    path: str
    """Path of the report on this server."""

    written: str


def study_reports() -> dict[str, Path]:
    """Maps the name of each study under ``home()`` to its report, the newest first."""
    found = [path for path in home().glob(f"*/{REPORT_FILE}") if path.is_file()]
    return {
        path.parent.name: path
        for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    }


def study_links() -> list[StudyLink]:
    """Lists the links to the reports of studies, the newest first."""
    return [
        StudyLink(name, f"/studies/{quote(name, safe='')}", _time(path))
        for name, path in study_reports().items()
    ]


def newest_versions(store: Store) -> Found:
    """Finds the newest ``MOST_VERSIONS`` versions of all models."""
    return search_versions(store, Query(limit=MOST_VERSIONS))


def _time(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime).astimezone().isoformat(" ", "minutes")
