"""Makes links to MLflow's pages about runs.

In: a store and a study's run. Out: a web address. If no server is running, also the command that
starts a server. Next: the user.
"""

import shlex
import sys
from typing import NamedTuple
from urllib.parse import quote

from poise.config.redaction import without_user
from poise.tracking.address import VARIABLE, sqlite_file
from poise.tracking.store import Store

_PORT = 5000


class Link(NamedTuple):
    """Web address, and the command that starts the server of this address."""

    url: str

    command: str | None
    """Command that starts the server for this machine only, or None if the server is running."""


def study_link(store: Store, run_id: str, metric: str = "eval/knn_top1") -> Link:
    """Makes a link to charts of the study's trials, the best trial first.

    Args:
        store: store of the study.
        run_id: id of the study's parent run.
        metric: metric by which the trials are sorted, the largest value first.
    """
    experiment_id = store.client.get_run(run_id).info.experiment_id
    query = {
        "workflowType": "machine_learning",  # else a new browser opens other pages
        "searchFilter": f"tags.mlflow.parentRunId = '{run_id}'",
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": "false",
        "compareRunsMode": "CHART",
    }
    parameters = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    base = without_user(store.uri) if store.is_server else f"http://127.0.0.1:{_PORT}"
    url = f"{base}/#/experiments/{experiment_id}/runs?{parameters}"
    return Link(url, None if store.is_server else _serve_command(store))


def _serve_command(store: Store) -> str:
    """Makes the command. A database is named by its variable, because its address may hold a token.

    In the arguments of a process everyone on the machine can read it.
    """
    settings, named = "MLFLOW_DISABLE_TELEMETRY=true", ["--backend-store-uri", store.uri]
    if sqlite_file(store.uri) is None:
        settings, named = f'{settings} MLFLOW_BACKEND_STORE_URI="${VARIABLE}"', []
    arguments = [
        *(sys.executable, "-m", "mlflow", "server", *named),
        *("--host", "127.0.0.1", "--port", str(_PORT)),
        *("--allowed-hosts", f"127.0.0.1:{_PORT},localhost:{_PORT}", "--workers", "1"),
    ]
    return f"{settings} {shlex.join(arguments)}"
