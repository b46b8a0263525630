"""Hides passwords, tokens and user names in addresses that are shown.

In: an address, or a message that holds one. Out: the same text with ``***``. Next: whatever shows
or keeps it: errors, logs, reports, files. Connections use the address itself.

A service may take a token in the place of the user's name. No form tells such a token from a name,
so the whole part before the ``@`` is hidden.
"""

import re

_HIDDEN = "***"
_SECRET_OPTION = re.compile(r"([?&][\w-]*(?:pass|pwd|token|secret|key)[\w-]*=)[^&\s]*", re.I)
_USER_PART = re.compile(r"(:/{2,})(?!USER:PASSWORD@|anonymous@)(?:[^\s/@:]*:\S*|[^\s/]*)@")
"""Pattern of the part of an address before the ``@``. A password that is not quoted may contain
slashes. A name or a token contains none, because a slash ends the host of a URL.
"""

_CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")
"""Schemes of addresses with an Azure container before the ``@``: ``abfss://CONTAINER@ACCOUNT``."""

_OF_PATHS = ("sqlite", "sqllite", "file")
"""First letters of the schemes of local files. The names of such files may contain an ``@``."""

_KNOWN = r"(?:https?|ray|s3|postgres\w*|psql|pgsql|mysql|mssql)(?:\+\w+)?"
_BEFORE_USER = rf"(?:{_KNOWN}(?::|(?=[/\\]))|[\w+.-]+:(?=//))?[/\\]*"
_WRONGLY_WRITTEN = re.compile(rf"^({_BEFORE_USER}).*@", re.I | re.S)


def redacted(text: str) -> str:
    """Hides users, passwords and tokens in an address, or in a message that contains addresses."""
    return _SECRET_OPTION.sub(rf"\1{_HIDDEN}", _USER_PART.sub(_without_name, text))


def redacted_address(text: str) -> str:
    """Hides users, passwords and tokens in a text that is one address.

    Slashes and scheme of the address may be wrong.
    """
    shown = redacted(text)
    is_path = text.startswith((".", "~")) or re.match(r"/(?!/)", text)
    if is_path or text.lower().startswith(_OF_PATHS) or f"://{_HIDDEN}@" in shown:
        return shown
    return _WRONGLY_WRITTEN.sub(rf"\1{_HIDDEN}@", shown)


def without_user(address: str) -> str:
    """Removes user and password from an address, so that it can be shown as a link."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "", address
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _without_name(found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - 20) : found.start()]
    scheme = re.split(r"[^\w+.-]", before)[-1].lower()
    is_container = scheme in _CONTAINERS and ":" not in found[0].removeprefix(found[1])
    if is_container or scheme.startswith(_OF_PATHS):
        return found[0]
    return f"{found[1]}{_HIDDEN}@"
