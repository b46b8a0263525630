"""Finds passwords, keys and tokens in text and in names of files.

In: a text or a path. Out: words for the kind of secret that was found, or None. Next:
``poise.cluster.job_files`` and ``poise.cluster.job_entry``, which do not send secrets.

Patterns cannot find every secret. The main protection is that only files of code and settings are
sent.
"""

import re
from pathlib import PurePath

_BY_FORM = {
    "a private key": r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY",
    "an access key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a key of Google": r"\bAIza[0-9A-Za-z_-]{35}",
    "a token of GitHub": r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{22,}",
    "a token of GitLab": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "a token of Hugging Face": r"\bhf_[A-Za-z0-9]{30,}",
    "a token of Slack": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "a key of an API": r"\bsk-[A-Za-z0-9_-]{20,}",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.",
    "a signed address": r"(?i)[?&](?:sig|signature|x-(?:amz|goog)-signature)=[^&\s]{8,}",
    "a token in an address": (
        r"\b(?:https?|s3|gs|gcs)://(?!git@|anonymous@|TOKEN@|USER@)[^\s:/@'\"{<$*]+:?@"
    ),
    "a password in an address": r"://[^\s:/@'\"{<$*]*:(?!PASSWORD@)[^\s/@'\"{<$*]+@",
}
_FORMS = {kind: re.compile(pattern) for kind, pattern in _BY_FORM.items()}

_USER_OF_DATABASE = re.compile(
    r"\b(?:postgres\w*|mysql|mariadb|mssql)(?:\+\w+)?:/*(?!USER:PASSWORD@)[^\s:/@'\"{<$*]+:?@", re.I
)

_WORDS = r"passw(?:or)?d|passphrase|secret|credential|api[_-]?key|access[_-]?key|private[_-]?key"
_KEY = re.compile(
    rf"""(?P<key>[\w.-]*(?:{_WORDS}|token)[\w.-]*)["']?\s*[:=]\s*(?P<value>"[^"]+"|'[^']+'|\S+)""",
    re.IGNORECASE,
)
_PLACEHOLDERS = re.compile(
    r"^(?:null|none|true|false|~|[$<{(\[].*|\*+|x+|\d+(?:\.\d+)?)$", re.IGNORECASE
)
_SHORTEST_PASSWORD, _SHORTEST_TOKEN = 6, 16

_NAMES = re.compile(
    rf"{_WORDS}|service[_-]?account|kube[_-]?config|htpasswd|(?:^|[._-])(?:id_(?:rsa|ed25519)|netrc)",
    re.IGNORECASE,
)
_TOKEN_FILE = re.compile(r"(?:^|[._-])tokens?\.(?:txt|json|csv|toml)$", re.IGNORECASE)


def secret_in(text: str, is_code: bool = False) -> str | None:
    """Returns words for what looks like a secret in a text, such as ``a private key``, or None.

    Args:
        text: content of a file, one line, or a word of a command.
        is_code: whether the text is program code. In code, ``password = …`` counts as a secret only
            if its value is in quotes, because ``token = read()`` is no secret.
    """
    for kind, form in _FORMS.items():
        if form.search(text):
            return kind
    for found in _KEY.finditer(text):
        if _is_value(found["key"], found["value"], is_code):
            return f"a value of '{found['key']}'"
    return None


def user_of_database_in(text: str) -> bool:
    """Returns True if a text has a database's address with a user, who may be a token.

    A file of a project may name such a user. A job's description shows it to everyone.
    """
    return _USER_OF_DATABASE.search(text) is not None


def named_like_a_secret(path: PurePath) -> bool:
    """Returns True if a file's name suggests that the file contains passwords, keys or tokens.

    Python files never count, because their names describe their code: ``last_tokens.py``.
    """
    name = path.name
    if path.suffix == ".py":
        return False
    return bool(_NAMES.search(name) or _TOKEN_FILE.search(name))


def _is_value(key: str, value: str, is_code: bool) -> bool:
    quoted = value[:1] in "'\""
    value = value.strip("'\",;")
    if (is_code and not quoted) or _PLACEHOLDERS.match(value):
        return False
    if re.search(_WORDS, key, re.IGNORECASE):
        return len(value) >= _SHORTEST_PASSWORD and not (is_code and " " in value)
    has_both = re.search(r"\d", value) and re.search(r"[A-Za-z]", value)
    return bool(has_both) and len(value) >= _SHORTEST_TOKEN and " " not in value
