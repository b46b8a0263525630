"""Converts the address of a cluster to the form that Ray needs.

In: `--address` or RAY_ADDRESS, in any of Ray's forms. Out: an address at which a server listens.
Next: `poise.cluster.jobs` and `poise.cluster.connection`.
"""

import os
import shlex
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
    """Address for sending jobs to a cluster: as a URL, and as the user wrote it."""

    url: str
    source: str
    """Option or variable that gave the address, for errors: ``RAY_ADDRESS=ray://head:10001``."""

    file: str | None = None
    """File of Ray's cluster launcher, if the user gave this file instead of an address."""

    @property
    def option(self) -> str:
        """Command-line option that sends a Poise command to this cluster."""
        return f"--cluster {shlex.quote(self.file)}" if self.file else f"--address {self.url}"


def find_cluster(address: str | None) -> ClusterAddress:
    """Returns the dashboard's address of the cluster that ``address`` or RAY_ADDRESS names.

    Raises:
        PoiseError: no cluster is named, or jobs cannot be sent to an address of this form.
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
    """Converts the address of a cluster to the URL of its dashboard.

    The address is ``http(s)://…``, ``ray://head:10001``, ``head:6379`` or ``head``. If the port
    belongs to another service of Ray, the URL has the dashboard's default port. The dashboard's
    real port is known only to processes that have joined the cluster.

    Raises:
        PoiseError: the address has another form.
    """
    if address == "auto":
        return f"http://127.0.0.1:{DASHBOARD_PORT}"
    address = address.strip()
    _refuse_user(address)
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


def _refuse_user(address: str) -> None:
    """Raises an error if an address contains a user name, a password or a token.

    The error does not show the address.
    """
    if "@" in address:
        raise PoiseError(
            "the address of the cluster contains a name or a password, which logs would show; "
            "leave it out, and set RAY_AUTH_TOKEN to the cluster's token"
        )


def check_listens(address: str, source: str, timeout_s: float = _CONNECT_TIMEOUT_S) -> None:
    """Checks that a server listens at the address where a process would join a cluster.

    Without this check, Ray waits silently for minutes if the cluster no longer exists.

    Args:
        address: ``auto``, ``HOST:6379`` or ``ray://HOST:10001``.
        source: address as the user wrote it, for the error.
        timeout_s: longest time to wait, in seconds.

    Raises:
        PoiseError: the address has another form, or no server listens there.
    """
    if address == "auto":
        return  # Ray knows at once whether a cluster runs on this machine
    _refuse_user(address)
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
    """Splits an address into scheme, host and port.

    The host is None if the address cannot be read.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return parts.scheme, None, None


def check_reachable(cluster: ClusterAddress, timeout_s: float = _CONNECT_TIMEOUT_S) -> None:
    """Checks that a server listens at the cluster's URL.

    Without this check, Ray's own client waits for minutes if a firewall drops its packets.

    Raises:
        PoiseError: no server listens there.
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
