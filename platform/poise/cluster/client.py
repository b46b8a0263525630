"""Connects to a cluster's job server, and explains its errors.

In: a cluster's address. Out: Ray's client for jobs. Next: ``poise.cluster.jobs`` and
``poise.cluster.job_log``.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from poise.cluster.address import ClusterAddress, check_reachable
from poise.config.errors import PoiseError, one_line

for _name in (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.authentication.http_token_authentication",
    "ray._private.runtime_env.packaging",
    "ray._private.runtime_env.working_dir",
):
    logging.getLogger(_name).setLevel(logging.ERROR)  # Poise itself reports these errors, once

SIGNS_OF_NO_AGENT = (
    "No available agent",
    "Failed to get head node agent",
    "Agent info not found",
    "Cannot connect to host",
)
"""Texts in the dashboard's answer if no agent runs on the head node. The agent starts jobs."""


def connect(cluster: ClusterAddress) -> JobSubmissionClient:
    """Makes a client of the cluster's job server.

    Raises:
        PoiseError: the server does not answer, is not a Ray dashboard, or refuses the token.
    """
    check_reachable(cluster)
    with explained(cluster), _address_variables_hidden():
        return JobSubmissionClient(cluster.url)


@contextmanager
def explained(cluster: ClusterAddress) -> Iterator[None]:
    """Turns errors of Ray's client in the block into one line with the fix."""
    try:
        yield
    except AuthenticationError as error:
        raise PoiseError(refusal(cluster, str(error))) from None
    except (ConnectionError, RuntimeError, requests.RequestException) as error:
        raise PoiseError(f"{cluster.source}: {_what_is_wrong(cluster, str(error))}") from None


def refusal(cluster: ClusterAddress, message: str) -> str:
    """Explains that the cluster refuses this client's token, or that the client sent no token."""
    if "Authentication failed" in message:
        return (
            f"{cluster.url} refuses the token (403): RAY_AUTH_TOKEN, or the file "
            "~/.ray/auth_token, must hold the token that the head node was started with"
        )
    return (
        f"{cluster.url} asks for a token (401): set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN (or "
        "the file ~/.ray/auth_token) to the token that the head node was started with"
    )


def _what_is_wrong(cluster: ClusterAddress, message: str) -> str:
    if any(sign in message for sign in SIGNS_OF_NO_AGENT):
        return (
            f"the dashboard at {cluster.url} answers, but the agent of the head node, which runs "
            "jobs, is not up; often another process has its port: its log there is "
            "/tmp/ray/session_latest/logs/dashboard_agent.log; start Ray again with a free "
            "`ray start --dashboard-agent-listen-port PORT`"
        )
    return f"{cluster.url} does not answer as a Ray dashboard does: {one_line(message, 300)}"


@contextmanager
def _address_variables_hidden() -> Iterator[None]:
    """Hides environment variables that Ray's client would use instead of the given address."""
    names = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
