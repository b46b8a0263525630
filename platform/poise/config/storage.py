"""Connections to object storage and to file systems on a network.

In: a URI such as ``s3://bucket/folder``. Out: the URI's ``Storage``, the path in this storage, and
errors in one line. Next: ``poise.config.locations``.

A URI may not contain a password, a key or a token, because recipes, MLflow and logs store URIs.
Credentials come from the environment (``AWS_ACCESS_KEY_ID``, a profile, the role of a machine).
"""

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from poise.config.errors import OutageError, PoiseError, one_line
from poise.config.redaction import redacted_address, without_user

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

S3, GOOGLE = ("s3",), ("gs", "gcs")
AZURE = ("abfs", "abfss")
OBJECT_STORES = (*S3, *GOOGLE, *AZURE)

_ALLOWED = {
    "s3": ("region", "scheme", "endpoint_override"),
    "gs": ("scheme", "endpoint_override"),
    "gcs": ("scheme", "endpoint_override"),
    "hdfs": ("replication", "buffer_size"),
}
"""Maps each scheme to the query parameters that its URIs may have. All other parameters are
refused, because they may contain secret keys.
"""

_WITH_USER = ("hdfs", "viewfs", *AZURE)
"""Schemes with a login name, or with a container of Azure, before the ``@``."""

_FSSPEC = "fsspec+"
_FSSPEC_WITHOUT_USER = ("http", "https", *S3, *GOOGLE)

_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "gcs": "GOOGLE_APPLICATION_CREDENTIALS",
}

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 15.0
"""Seconds after which a request fails if no byte has arrived. The request is then sent again."""

_ATTEMPTS = 4


class MissingFileError(PoiseError):
    """Error for a file that does not exist in its storage."""


@dataclass(frozen=True)
class Storage:
    """Bucket of an object storage, or server of a network file system."""

    scheme: str
    host: str
    query: str = ""

    def uri(self, path: str) -> str:
        """Returns the URI of a path in this storage."""
        quoted = path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")
        place = f"{self.scheme}://{self.host}" + (f"/{quoted}" if quoted else "")
        return place + (f"?{self.query}" if self.query else "")

    def connect(self) -> "tuple[FileSystem, str]":
        """Returns pyarrow's file system, and the path that ``host`` means in this file system.

        Each process connects only once. The connection sends nothing before the first request.

        Raises:
            PoiseError: there is no library for the scheme, or a parameter is wrong.
        """
        try:
            return _connected(self, _endpoint())
        except (OSError, ValueError, ImportError) as error:  # Arrow's errors are ValueErrors
            raise PoiseError(
                f"{self.uri('')}: cannot be opened ({one_line(error, 200)}); Poise opens s3://, "
                "gs://, hdfs://, file:// and, with their packages, fsspec's fsspec+NAME://"
            ) from None

    def explained(self, path: str, error: BaseException) -> PoiseError:
        """Turns an error of the storage into one line with the reason and the fix."""
        said = one_line(error, 200)
        return self.recognised(path, error) or PoiseError(
            f"{self.uri(path)}: cannot be used ({said}); try again, or check the storage"
        )

    def recognised(self, path: str, error: BaseException) -> PoiseError | None:
        """Explains an error if its reason is known; otherwise returns None."""
        uri, said = self.uri(path), one_line(error)
        is_missing = isinstance(error, FileNotFoundError) or _matches(said, _MISSING)
        if _matches(said, "NO_SUCH_BUCKET") or (is_missing and not self._has_bucket()):
            return PoiseError(
                f"{uri}: there is no bucket '{self.host}'{self._at()}; check its name, or create it"
            )
        if _matches(said, _REFUSED):
            names = _CREDENTIALS.get(self.scheme, "the credentials of this storage")
            return PoiseError(
                f"{uri}: access is refused{self._at()}; set {names} in the environment to "
                "credentials that may use it"
            )
        if _matches(said, _SILENT):
            reason = re.search(r"curlCode: \d+, [^)]{1,80}", said)
            why = f" ({reason[0]})" if reason else ""
            return OutageError(
                f"{uri}: the storage does not answer{self._at()}{why}; check the network"
                + (" and AWS_ENDPOINT_URL" if self.scheme in S3 else "")
            )
        if _matches(said, _BUSY):
            return OutageError(f"{uri}: the storage fails ({said[:200]}); try again later")
        if _matches(said, "PERMANENT_REDIRECT|HTTP status 301|authorization header is malformed"):
            return PoiseError(f"{uri}: is in another region; set AWS_REGION to the bucket's region")
        if is_missing:
            return MissingFileError(f"{uri}: no such file; check its name")
        return None

    def _has_bucket(self) -> bool:
        """Returns False if the storage answers that the bucket does not exist."""
        if self.scheme not in OBJECT_STORES:
            return True
        try:
            system, root = self.connect()
            return str(system.get_file_info(root).type.name) != "NotFound"
        except (OSError, ValueError):
            return True

    def _at(self) -> str:
        """Returns ``at`` and the server's address, for errors; empty for the provider's server."""
        endpoint = _parameters(self).get("endpoint_override") or (
            _endpoint() if self.scheme in S3 else None
        )
        return f" at {without_user(endpoint)}" if endpoint else ""


_MISSING = "NO_SUCH_KEY|does not exist"
_REFUSED = (
    "ACCESS_DENIED|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|INVALID_SIGNATURE|EXPIRED_TOKEN"
    "|SIGNATURE_DOES_NOT_MATCH|UNRECOGNIZED_CLIENT|MISSING_AUTHENTICATION_TOKEN|HTTP status 40[13]"
    "|[Pp]ermission denied|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|No credentials"
)
_BUSY = "SLOW_DOWN|THROTTLING|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|HTTP status 5\\d\\d"
_SILENT = "NETWORK_CONNECTION|curlCode|REQUEST_TIMEOUT|[Tt]imed? ?out|[Cc]ould ?n.t connect"


def _matches(text: str, pattern: str) -> bool:
    return re.search(pattern, text) is not None


def parse_uri(text: str) -> tuple[Storage | None, str]:
    """Splits a URI into its storage and the path in this storage.

    Args:
        text: URI such as ``s3://bucket/folder``, or a path. A path, or a URI with ``file://``, is
            on this machine.

    Returns:
        The storage, or None for this machine, and the path.

    Raises:
        PoiseError: the URI contains a password, a key or a token, names no host, or lacks a slash.
    """
    if "://" not in text:
        if _matches(text, f"^({'|'.join((*OBJECT_STORES, 'hdfs'))}):/"):
            shown = redacted_address(text)
            raise PoiseError(f"{shown}: a URI has two slashes after '{text.partition(':')[0]}:'")
        return None, text
    _refuse_secrets(text)
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise PoiseError(f"{text}: is no URI ({error})") from None
    scheme, path = parts.scheme.lower(), unquote(parts.path)
    if scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise PoiseError(
                f"{text}: a file of this machine is written file:///{path.lstrip('/')}"
            )
        return None, path
    if not parts.netloc and scheme in OBJECT_STORES:
        raise PoiseError(f"{text}: names no bucket; write {scheme}://BUCKET/FOLDER")
    inside = "/".join(name for name in path.split("/") if name)
    return Storage(scheme, parts.netloc, parts.query), inside


def check_uri(text: str) -> str:
    """Checks the text of a location in a recipe, and returns the text.

    Raises:
        PoiseError: the text is a URI with a password or a key. The message does not show the
            secret.
    """
    parse_uri(text)
    return text


def _refuse_secrets(text: str) -> None:
    """Raises an error if a URI contains a password, a key or a token. The error shows no secret."""
    rest, _, fragment = text.partition("#")
    before, _, query = rest.partition("?")
    scheme, _, place = before.partition("://")
    host = unquote(place.partition("/")[0])
    clean = f"{scheme}://{place.rpartition('@')[2] if '@' in place else '…'}"
    names = _CREDENTIALS.get(scheme.lower(), "its credentials")
    if _has_secret(scheme.lower(), host):
        raise PoiseError(
            f"{clean}: this URI was given with a password, a key or a token, which logs and "
            f"MLflow would keep; leave that out, and set {names} in the environment"
        )
    clean = f"{scheme}://{place}"
    allowed = _ALLOWED.get(scheme.lower(), ())
    for name, values in parse_qs(query, keep_blank_values=True).items():
        if name not in allowed or any("@" in value for value in values):
            shown = name if re.fullmatch(r"[A-Za-z_-]{1,40}", name) else "…"
            raise PoiseError(
                f"{clean}: this URI may not have the parameter '{shown}' (allowed: "
                f"{', '.join(allowed) or 'none'}); credentials belong in the environment ({names})"
            )
    if fragment:
        raise PoiseError(f"{clean}: a URI has no '#'; write %23 if it is part of a name")


def _has_secret(scheme: str, host: str) -> bool:
    """Returns True if a URI contains a password, a key or a token before its first slash.

    A key may contain slashes, so the ``@`` at the end of the key may come after the first slash.
    """
    user, at, _ = host.rpartition("@")
    if at and not _may_name_a_user(scheme, user):
        return True
    if scheme in S3:
        return ":" in host
    if at or scheme in OBJECT_STORES:
        return ":" in (user if at else host)
    return ":" in host and not re.fullmatch(r"(\[[^]]*\]|[^:]*):\d+", host)


def _may_name_a_user(scheme: str, user: str) -> bool:
    """Returns True if URIs of this scheme may contain a user name before the ``@``.

    In URIs of other schemes this text may be a secret token.
    """
    if scheme.startswith(_FSSPEC):
        return scheme.removeprefix(_FSSPEC) not in _FSSPEC_WITHOUT_USER
    return scheme in _WITH_USER or (scheme in GOOGLE and user == "anonymous")


@lru_cache(maxsize=32)
def _connected(storage: Storage, endpoint: str | None) -> "tuple[FileSystem, str]":
    from pyarrow import fs

    options, bucket = _parameters(storage), storage.host
    if storage.scheme in S3:
        return _s3(options, endpoint), bucket
    if storage.scheme in GOOGLE:
        user, _, bucket = storage.host.rpartition("@")
        limit = timedelta(seconds=REQUEST_SECONDS)
        return fs.GcsFileSystem(user == "anonymous", retry_time_limit=limit, **options), bucket
    found, root = fs.FileSystem.from_uri(storage.uri(""))
    return found, root.rstrip("/")


def _s3(options: dict[str, str], endpoint: str | None) -> "FileSystem":
    """Connects to S3 with time limits, because the library itself waits for minutes."""
    from pyarrow import fs

    if "endpoint_override" not in options and endpoint:
        scheme, separator, host = endpoint.rpartition("://")
        options = {"scheme": scheme if separator else "https", "endpoint_override": host} | options
    return fs.S3FileSystem(
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        allow_delayed_open=True,  # a small file needs one request instead of three
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        **options,
    )


def _endpoint() -> str | None:
    """Returns the address of the S3 server from the environment; None means Amazon's server."""
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return named.rstrip("/") if named else None


def _parameters(storage: Storage) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(storage.query).items()}
