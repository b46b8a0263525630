"""Checks how open a cluster is to strangers. Each finding contains the fix.

In: a cluster's address. Out: findings about the dashboard, the open ports of the nodes, and the
MLflow server. Next: `poise.cli.doctor`.
"""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests

from poise.cli.doctor_checks import Finding
from poise.cluster.address import ClusterAddress, check_reachable
from poise.cluster.client import connect
from poise.cluster.job_entry import packaged
from poise.cluster.job_files import project_files
from poise.cluster.open_ports import NodeExposure, OpenPort, exposures_from
from poise.cluster.remote_call import ask
from poise.config.errors import PoiseError, first_few
from poise.config.paths import current_folder
from poise.config.redaction import without_user

_ANSWER_WITHIN_S = 10.0
_START_WITH_TOKEN = (
    "make a token with `ray get-auth-token --generate`, copy ~/.ray/auth_token to every node, and "
    "start Ray there with RAY_AUTH_MODE=token"
)
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def examine_cluster(cluster: ClusterAddress) -> Iterator[Finding]:
    """Yields findings about the dashboard, about the open ports of each node, and about MLflow."""
    try:
        check_reachable(cluster)
        yield check_dashboard(cluster.url)
        yield from _check_nodes(cluster)
    except PoiseError as error:
        yield Finding("cluster", "broken", "cannot be examined", str(error))
    if finding := check_tracking(os.environ.get("MLFLOW_TRACKING_URI", "")):
        yield finding


def check_dashboard(url: str) -> Finding:
    """Asks the dashboard for its version without a token, as a stranger would."""
    try:
        status = requests.get(f"{url}/api/version", timeout=_ANSWER_WITHIN_S).status_code
    except requests.RequestException as error:
        fix = f"is {url} the dashboard that `ray start --head` prints?"
        return Finding("dashboard", "broken", type(error).__name__, fix)
    if status not in (401, 403):
        found = f"{url} needs no token: whoever reaches it can run any code"
        return Finding("dashboard", "broken", found, _START_WITH_TOKEN)
    host = urlsplit(url).hostname
    if url.startswith("http://") and host not in _LOCAL_HOSTS:
        fix = "use a tunnel (`ray dashboard cluster.yaml`, or `ssh -L`) or a proxy with https"
        found = f"{url} asks for a token, which travels there in plain text"
        return Finding("dashboard", "warning", found, fix)
    return Finding("dashboard", "works", f"{url} asks for a token")


def _check_nodes(cluster: ClusterAddress) -> Iterator[Finding]:
    client = connect(cluster)
    with packaged(["doctor"], project_files(current_folder()), {}) as job:
        found = ask(client, cluster, job, "poise.cluster.open_ports:of_all_nodes", None)
    for name, node in exposures_from(found).items():
        yield from judge_node(name, node)


def judge_node(name: str, node: NodeExposure) -> Iterator[Finding]:
    """Yields findings about the open ports and the token of one node."""
    wide = [port for port in node.ports if port.reach == "every network"]
    near = [port for port in node.ports if port.reach == "the private network"]
    where = f"ports of {name}"
    told = f"{_told(wide)} on every network; {_told(near)} on the private network"
    if not node.asks_for_token and (wide or near):
        fix = f"{_START_WITH_TOKEN}; and let a firewall close what is open to every network"
        yield Finding(where, "broken", f"{told}; Ray asks for no token", fix)
    elif wide:
        fix = (
            "let a firewall or security group admit only the cluster's own nodes; Ray's control "
            "service always listens on every network"
        )
        yield Finding(where, "warning", f"{told}; Ray asks for a token", fix)
    else:
        yield Finding(where, "works", told)
    if node.loose_token:
        fix = f"chmod 600 {node.loose_token}"
        yield Finding(where, "warning", f"other users can read {node.loose_token}", fix)


def _told(ports: list[OpenPort]) -> str:
    if not ports:
        return "none"
    programs = list(dict.fromkeys(port.program for port in ports))
    by_program = {name: [p.port for p in ports if p.program == name] for name in programs}
    return first_few([f"{name} {first_few([*map(str, n)], 4)}" for name, n in by_program.items()])


def check_tracking(uri: str) -> Finding | None:
    """Asks the MLflow server for its experiments without a password.

    Returns None if there is no server.
    """
    if not uri.startswith(("http://", "https://")):
        return None
    question = f"{without_user(uri).rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    host = urlsplit(uri).hostname
    try:
        status = requests.get(question, timeout=_ANSWER_WITHIN_S).status_code
    except requests.RequestException as error:
        return Finding("mlflow", "warning", f"does not answer here ({type(error).__name__})")
    if status in (401, 403):
        return Finding("mlflow", "works", f"{host} asks who you are")
    if host in _LOCAL_HOSTS:
        return Finding("mlflow", "works", f"{host} asks for no password, on this machine alone")
    fix = (
        "start it with --app-name basic-auth, or behind a proxy, and on a private address "
        "(docs/cluster/mlflow.md)"
    )
    found = f"{host} asks for no password: whoever reaches it can change and delete runs"
    return Finding("mlflow", "warning", found, fix)
