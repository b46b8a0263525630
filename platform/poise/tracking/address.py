"""Reads the address of the MLflow store.

In: ``MLFLOW_TRACKING_URI`` or nothing. Out: an ``Address`` in the form that MLflow needs, or an
error that shows the right form. Next: ``poise.tracking.store``.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import sqlalchemy

from poise.config.errors import PoiseError, one_line
from poise.config.paths import given_path, home
from poise.config.redaction import redacted, redacted_address

VARIABLE = "MLFLOW_TRACKING_URI"
_DATABASES = ("postgresql", "mysql", "mssql")
_MISWRITTEN = {
    **dict.fromkeys(("postgres", "psql", "pgsql"), "postgresql"),
    **dict.fromkeys(("sqlite3", "sqllite"), "sqlite"),
}
_BLANK, _DELETE = 0x20, 0x7F  # control characters are below 0x20, or 0x7F
_SHOWN = 200  # number of characters that are shown of a long address
_DATABASE_FILES = (".db", ".sqlite", ".sqlite3")
_USER_IN_ERROR = r"(?i)\b(user|role)( name)? (['\"])[^'\"]*\3"
_FORMS = (
    "use sqlite:////absolute/path/mlflow.db, the http:// or https:// address of an MLflow server, "
    "or postgresql://USER:PASSWORD@HOST/NAME"
)

Kind = Literal["server", "file", "database"]


@dataclass(frozen=True)
class Address:
    """Address of a store, and the kind of store."""

    uri: str
    """Address in the form that MLflow needs."""

    kind: Kind


def read_address(written: str | None) -> Address:
    """Reads an address that a user wrote. Without an address, uses a SQLite file under ``home()``.

    Spaces around the address and capital letters in its scheme are accepted.

    Raises:
        PoiseError: MLflow cannot use the address. The message shows the right form.
    """
    text = (written or "").strip()
    if not text:
        return _file_address(home() / "mlflow.db")
    _check_characters(text)
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    dialect = scheme.partition("+")[0]
    if scheme in ("http", "https"):
        return _server_address(scheme, rest)
    if dialect == "sqlite":
        return _file_address(_sqlite_path(text, rest))
    if dialect in _DATABASES:
        return _database_address(f"{scheme}{colon}{rest}")
    raise _refused(text, _right_form(text))


def sqlite_url(path: Path) -> str:
    """Makes the address of a SQLite file. Its path may contain any characters.

    For a ``sqlite:///`` address, MLflow creates the parent folder without decoding the path. If the
    path has quoted characters, this would be another folder. For such a path, the equivalent scheme
    ``sqlite+pysqlite`` is used. MLflow passes such an address to SQLAlchemy unchanged.
    """
    plain = f"sqlite:///{path}"
    url = sqlalchemy.URL.create("sqlite", database=str(path))
    if url.render_as_string() == plain:
        return plain
    return url.set(drivername="sqlite+pysqlite").render_as_string()


def sqlite_file(uri: str) -> Path | None:
    """Returns the file of a SQLite address, or None for other addresses."""
    if not uri.startswith("sqlite"):
        return None
    return Path(sqlalchemy.make_url(uri).database or "")


def safe_line(error: BaseException) -> str:
    """Returns an exception's message in one line of at most 300 characters.

    The line names no user and no password. SQLAlchemy appends SQL statements to its messages. These
    statements are left out.
    """
    text = re.split(r" \[SQL: | \(Background on this error", one_line(error))[0]
    return re.sub(_USER_IN_ERROR, r"\1\2 '***'", redacted(text))[:300]


def _refused(text: str, advice: str) -> PoiseError:
    return PoiseError(f"{VARIABLE}={redacted_address(text)}: {advice}")


def _check_characters(text: str) -> None:
    """Raises an error if an address contains characters that no address has."""
    quotes = "'\"`"
    bare = text.strip(quotes).removeprefix(f"{VARIABLE}=").strip(quotes)
    if bare != text:
        raise _refused(text, f"is more than the address; did you mean {redacted_address(bare)}?")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
        raise _refused(shown, f"is not UTF-8; {_FORMS}") from None
    odd = next((each for each in text if ord(each) < _BLANK or ord(each) == _DELETE), None)
    if odd is not None:
        shown = text.encode("unicode_escape").decode("ascii")
        raise _refused(shown, f"has the character {odd!r} inside; {_FORMS}")


def _server_address(scheme: str, rest: str) -> Address:
    text, rest = f"{scheme}:{rest}", rest.replace("\\", "/")
    right = f"{scheme}://{rest.lstrip('/')}"
    if re.search(r"\s", right):
        raise _refused(text, f"has a blank inside; {_FORMS}")
    try:
        parts = urlsplit(right)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _refused(text, f"is not the address of a server; {_FORMS}") from None
    if not host:
        raise _refused(text, f"names no server; {_FORMS}")
    if parts.query or parts.fragment:
        page = right.partition("?")[0].partition("#")[0].rstrip("/")
        raise _refused(text, f"is the address of a page; did you mean {redacted(page)}?")
    if text != right:
        raise _refused(text, f"has the wrong number of slashes; did you mean {redacted(right)}?")
    return Address(right.rstrip("/"), "server")


def _sqlite_path(text: str, rest: str) -> Path:
    if "?" in rest:
        raise _refused(
            text, "a '?' begins options, which Poise does not use; in a file name write %3F"
        )
    name = sqlalchemy.make_url(f"sqlite:///{rest.lstrip('/')}").database or ""
    slashes = len(rest) - len(rest.lstrip("/"))
    if not name or name == ":memory:":
        raise _refused(text, f"names no file that workers could share; {_FORMS}")
    if slashes < 3:
        absolute, relative = f"sqlite:////{rest.lstrip('/')}", f"sqlite:///{rest.lstrip('/')}"
        meant = absolute if slashes == 1 else relative
        meant = f"{absolute} or, in the current folder, {relative}" if slashes == 2 else meant
        raise _refused(text, f"has the wrong number of slashes; did you mean {meant}?")
    path = given_path(f"/{name}" if slashes > 3 else name, f"{VARIABLE}={text}")
    if "\0" in name:
        raise _refused(text, "has a %00, which no name of a file has; leave it out")
    if rest.endswith("/") or _is_folder(path, text):
        raise _refused(text, f"is a folder; did you mean {sqlite_url(path / 'mlflow.db')}?")
    return path


def _is_folder(path: Path, text: str) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise _refused(
            text[:_SHOWN], f"cannot be used ({error.strerror}); name another file"
        ) from None


def _file_address(path: Path) -> Address:
    return Address(sqlite_url(path if path.is_absolute() else Path.cwd() / path), "file")


def _database_address(text: str) -> Address:
    try:
        url = sqlalchemy.make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise _refused(text, f"is not the address of a database; {_FORMS}") from None
    if not url.host or not url.database:
        missing = "host" if not url.host else "database"
        raise _refused(text, f"names no {missing}; {_FORMS}")
    return Address(text, "database")


def _right_form(text: str) -> str:
    """Returns the advice for the error about a store's address of an unknown kind."""
    scheme, colon, rest = text.partition("://")
    known = _MISWRITTEN.get(scheme.lower()) if colon else None
    if known:
        return f"did you mean {known}://{redacted(text)[len(scheme) + 3 :]}?"
    if colon and scheme != "file":
        return f"MLflow knows no '{scheme}://'; {_FORMS}"
    if re.match(r"(databricks|uc|dbfs)\b", text):
        return f"Poise does not keep runs in Databricks; {_FORMS}"
    if found := re.match(r"(https?)//(?=\w)", text):
        return f"has no colon; did you mean {redacted(f'{found[1]}://{text[found.end() :]}')}?"
    path = rest if colon else text.removeprefix("file:")
    is_path = path.startswith(("/", ".", "~")) or "@" not in path.partition("/")[0]
    if Path(path).suffix in _DATABASE_FILES and is_path:
        return f"did you mean {sqlite_url(given_path(path, f'{VARIABLE}={text}').absolute())}?"
    if _looks_like_a_host(text.rpartition("@")[2]):
        return f"has no scheme; did you mean http://{redacted_address(text).lstrip('/')}?"
    return f"MLflow does not store runs in plain folders any more; {_FORMS}"


def _looks_like_a_host(text: str) -> bool:
    """Returns True if the text is ``host:port``, a host with a dot, or ``localhost``."""
    host, colon, port = text.removeprefix("//").partition("/")[0].rpartition(":")
    if colon and port.isdecimal():
        return bool(host)
    return text.startswith("localhost") or bool(re.match(r"(//)?\w[\w-]*(\.[\w-]+)+(/|$)", text))
