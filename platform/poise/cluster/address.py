"""The address of a cluster, from the forms that people have to the ones that Ray takes.

In: `--address` or RAY_ADDRESS, in any of Ray's forms. Out: an address that something listens at.
Next: `poise.cluster.jobs` and `poise.cluster.connection`.
"""

import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from poise.config.errors import PoiseError

DASHBOARD_PORT = 8265
_CLIENT_PORT = 10001
_PORTS_OF_OTHER_SERVICES = (6379, 10001)  # Ray's default ports for joining and for Ray Client
_CONNECT_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class ClusterAddress:
    """The URL that jobs are sent to, and what the user wrote for it."""

    url: str
    source: str
    """Such as ``RAY_ADDRESS=ray://head:10001``, for error messages."""


def find_cluster(address: str | None) -> ClusterAddress:
    """The dashboard of the cluster named by ``address``, else by RAY_ADDRESS.

    Raises:
        PoiseError: none is named, or the address has a form that takes no jobs.
    """
    source = f"--address {address}" if address else f"RAY_ADDRESS={os.environ.get('RAY_ADDRESS')}"
    address = address or os.environ.get("RAY_ADDRESS")
    if not address:
        raise PoiseError(
            "no cluster is named: pass --address http://HEAD:8265 (the dashboard that "
            "`ray start --head` or `ray up` prints), or set RAY_ADDRESS"
        )
    return ClusterAddress(dashboard_url(address, source), source)


def dashboard_url(address: str, source: str) -> str:
    """The dashboard's URL for ``http(s)://…``, ``ray://head:10001``, ``head:6379`` or ``head``.

    Ports of Ray's other services are replaced by the dashboard's default port: those services
    do not say where their dashboard is without joining the cluster.

    Raises:
        PoiseError: the address has another form.
    """
    if address == "auto":
        return f"http://127.0.0.1:{DASHBOARD_PORT}"
    address = address.strip()
    scheme, host, port = _parts(address)
    if not host or address == "local" or scheme not in ("", "http", "https", "ray"):
        raise PoiseError(
            f"{source}: not the address of a cluster that takes jobs; expected "
            "http://HEAD:8265, https://HEAD, ray://HEAD:10001 or HEAD:6379"
        )
    if scheme in ("http", "https"):
        return address.rstrip("/")
    if scheme == "ray" or port is None or port in _PORTS_OF_OTHER_SERVICES:
        port = DASHBOARD_PORT
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_listens(address: str, source: str, timeout_s: float = _CONNECT_TIMEOUT_S) -> None:
    """Returns when something listens where a process would join a cluster.

    Ray itself waits for minutes, without a word, for a cluster that is gone.

    Args:
        address: ``auto``, ``HOST:6379`` or ``ray://HOST:10001``.
        source: text that the user wrote for it, for the error.
        timeout_s: how long to wait, in seconds.

    Raises:
        PoiseError: the address has another form, or nothing listens there.
    """
    if address == "auto":
        return  # Ray knows at once whether it started one on this machine
    scheme, host, port = _parts(address)
    if scheme in ("http", "https"):
        raise PoiseError(
            f"{source}: is a dashboard, where `poise submit` sends jobs; "
            "to work on the cluster directly give HOST:6379 or ray://HOST:10001"
        )
    if scheme == "ray":
        port = port or _CLIENT_PORT
    if scheme not in ("", "ray") or not host or not port:
        raise PoiseError(
            f"{source}: is not a cluster's address; give HOST:6379 or ray://HOST:10001"
        )
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError as error:
        raise PoiseError(
            f"{source}: no Ray cluster answers there ({error}); start one with `ray start --head`, "
            "or unset RAY_ADDRESS to run on this machine"
        ) from None


def _parts(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port; no host where the address cannot be read."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return parts.scheme, None, None


def check_reachable(cluster: ClusterAddress, timeout_s: float = _CONNECT_TIMEOUT_S) -> None:
    """Returns when something listens at the cluster's URL.

    Ray's own client waits for minutes for a host that drops packets.

    Raises:
        PoiseError: nothing listens there.
    """
    parts = urlsplit(cluster.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((str(parts.hostname), port), timeout_s).close()
    except OSError as error:
        raise PoiseError(
            f"{cluster.source}: no Ray dashboard answers at {cluster.url} ({error}); it is the "
            "URL that `ray start --head` prints; for a remote cluster open a tunnel with "
            "`ray dashboard cluster.yaml` and pass --address http://127.0.0.1:8265"
        ) from None
