"""Lists and fetches files of the run that made a version.

In: a version. Out: paths among the run's artifacts, and the files. Next: ``poise.reports.models``,
which puts pictures on a page.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.tracking.address import safe_line
from poise.tracking.registry.version import Version
from poise.tracking.store import Store, is_absent_file

FOLDERS = ("pictures", "attention", "probes")
"""Folders of a run's artifacts: curves and maps, attention statistics, and evaluations."""

_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif")
_DEEPEST = 4


def list_files(store: Store, version: Version, folder: str) -> list[str]:
    """Lists all files in a folder of the run's artifacts.

    The result is empty if the run or folder is gone.
    """
    return sorted(_walk(store, version.run_id, folder, _DEEPEST))


def list_pictures(store: Store, version: Version) -> list[str]:
    """Lists the pictures of the run that made a version.

    Of a folder with pictures of many steps, only the last picture is listed. Videos and HTML pages
    are left out.
    """
    newest: dict[str, str] = {}
    for folder in FOLDERS:
        for path in list_files(store, version, folder):
            if path.lower().endswith(_ENDINGS):
                is_step = Path(path).name.startswith("step-")
                newest[str(Path(path).parent) if is_step else path] = path
    return list(newest.values())


def read_file(store: Store, version: Version, path: str) -> bytes | None:
    """Fetches one file of the run's artifacts. Returns None if the file is gone."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return Path(store.client.download_artifacts(version.run_id, path, scratch)).read_bytes()
        except (MlflowException, OSError) as error:
            if not is_absent_file(error):
                raise PoiseError(f"{path}: cannot be fetched: {safe_line(error)}") from None
            return None


def _walk(store: Store, run_id: str, folder: str, depth: int) -> Iterator[str]:
    try:
        found = store.client.list_artifacts(run_id, folder)
    except (MlflowException, OSError) as error:
        if not is_absent_file(error):
            raise PoiseError(f"{folder}: cannot be listed: {safe_line(error)}") from None
        return
    for file in found:
        if not file.is_dir:
            yield file.path
        elif depth:
            yield from _walk(store, run_id, file.path, depth - 1)
