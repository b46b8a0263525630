"""Makes links to runs for a browser.

In: a store and a study's run. Out: an address, and the command that starts a server if none is
running. Next: the user.
"""

import shlex
import sys
from typing import NamedTuple
from urllib.parse import quote

from poise.tracking.store import Store

_PORT = 5000


class Link(NamedTuple):
    """Address, and the command that starts its server."""

    url: str

    command: str | None
    """Command that starts the server of ``url`` for this machine only; None if a server is running.
    """


def study_link(store: Store, run_id: str, metric: str = "eval/knn_top1") -> Link:
    """Makes a link to charts of the study's trials, best first.

    Args:
        store: store of the study.
        run_id: parent run of the study.
        metric: metric that orders the trials, the largest first.
    """
    experiment_id = store.client.get_run(run_id).info.experiment_id
    query = {
        "workflowType": "machine_learning",  # a new browser would open another mode
        "searchFilter": f"tags.mlflow.parentRunId = '{run_id}'",
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": "false",
        "compareRunsMode": "CHART",
    }
    parameters = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    base = store.uri if store.is_server else f"http://127.0.0.1:{_PORT}"
    url = f"{base}/#/experiments/{experiment_id}/runs?{parameters}"
    return Link(url, None if store.is_server else _serve_command(store))


def _serve_command(store: Store) -> str:
    arguments = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", store.uri, "--host", "127.0.0.1", "--port", str(_PORT)),
        *("--allowed-hosts", f"127.0.0.1:{_PORT},localhost:{_PORT}", "--workers", "1"),
    ]
    return f"MLFLOW_DISABLE_TELEMETRY=true {shlex.join(arguments)}"
