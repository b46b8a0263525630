"""Starts MLflow's web pages on this machine, and opens the page with the trainings.

In: a store and an experiment. Out: a server on the loopback address, and a link. Next: a browser.

By default, MLflow opens its pages for language models. A link can choose the pages for trainings,
but not the columns of the table of runs. MLflow stores a shared view as a tag of the experiment,
and a link can name the view. So ``prepare_view`` writes such a tag, as MLflow's button "Share"
does.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from mlflow.entities import Experiment

from poise.config.errors import PoiseError, did_you_mean, first_few
from poise.config.redaction import redacted
from poise.tracking.store import Store, explained

VIEW = "poise"
"""Name under which MLflow stores the shared view of the table of runs. The link contains it."""

_HOST = "127.0.0.1"
_START_WITHIN_S = 300.0
_COLUMNS = (
    "attributes.`Models`",
    "tags.`poise.verdict`",
    "metrics.`eval/knn_top1`",
    "metrics.`eval/linear_top1`",
    "metrics.`eval/rankme`",
    "metrics.`loss/total`",
    "metrics.`teacher/entropy_over_ln_k`",
    "params.`objective.name`",
    "params.`backbone.name`",
    "params.`seed`",
)


def find_experiment(store: Store, name: str | None) -> Experiment:
    """Returns an experiment by its name. None means the experiment with the newest run.

    Raises:
        PoiseError: there is no such experiment, or the store has no run.
    """
    with explained():
        known = store.client.search_experiments()
        if name is not None:
            return _named(known, name)
        ids = [each.experiment_id for each in known]
        newest = store.client.search_runs(ids, max_results=1, order_by=["start_time DESC"])
    if not newest:
        raise PoiseError("the store has no run yet; `poise pretrain` and `poise sweep` make runs")
    chosen = str(newest[0].info.experiment_id)
    return next(each for each in known if str(each.experiment_id) == chosen)


def prepare_view(store: Store, experiment: Experiment) -> None:
    """Stores the columns and the sort order of the table of runs as a shared view."""
    state = {
        "selectedColumns": list(_COLUMNS),
        "orderByKey": "metrics.`eval/knn_top1`",
        "orderByAsc": False,
    }
    with explained("the columns of MLflow's table could not be chosen"):
        store.client.set_experiment_tag(
            experiment.experiment_id, f"mlflow.sharedViewState.{VIEW}", json.dumps(state)
        )


def link_to(base: str, experiment: Experiment) -> str:
    """Makes the link to the runs of an experiment, on MLflow's pages for model training."""
    number = quote(str(experiment.experiment_id))
    query = f"workflowType=machine_learning&viewStateShareKey={VIEW}"
    return f"{base}/#/experiments/{number}/runs?{query}"


@contextmanager
def mlflow_server(store: Store, port: int) -> Iterator[str]:
    """Runs MLflow's server on the loopback address during the block, and yields its address.

    The store's address is passed in the server's environment. Every user of the machine could read
    it in the server's arguments.

    Raises:
        PoiseError: the server does not start.
    """
    base = f"http://{_HOST}:{port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", _HOST, "--port", str(port)),
        *("--allowed-hosts", f"{_HOST}:{port},localhost:{port}", "--workers", "1"),
    ]
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": store.uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        # The server gets its own session, so that its child processes end with it.
        server = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=errors,
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait(server, base, errors)
            yield base
        finally:
            _end(server)


def _end(server: "subprocess.Popen[bytes]") -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            server.wait(10)
            return


def _wait(server: "subprocess.Popen[bytes]", base: str, errors: TextIO) -> None:
    until = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < until:
        if server.poll() is not None:
            errors.seek(0)
            last = (errors.read().strip().splitlines() or ["it said nothing"])[-1]
            raise PoiseError(f"{base}: MLflow's server ended at once: {redacted(last)[:300]}")
        try:
            with urlopen(f"{base}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.3)
    raise PoiseError(f"{base}: MLflow's server did not answer within {_START_WITHIN_S:.0f} s")


def _named(known: list[Experiment], name: str) -> Experiment:
    for experiment in known:
        if experiment.name == name:
            return experiment
    names = sorted(str(each.name) for each in known)
    there = f"there are {first_few(names)}"
    raise PoiseError(f"{name}: MLflow has no such experiment; {did_you_mean(name, names, there)}")
