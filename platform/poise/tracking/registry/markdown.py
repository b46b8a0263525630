"""Escapes texts of users for the Markdown of MLflow's pages.

In: any text. Out: the same text, in which no HTML tag, link or picture begins. Next: the
descriptions of versions and models.
"""

import re

_ESCAPED = {"<": "&lt;", "[": "&#91;", "`": "&#96;", "*": "&#42;"}


def plain(text: str) -> str:
    """Puts a text on one line and escapes the characters that Markdown would interpret."""
    escaped = "".join(_ESCAPED.get(sign, sign) for sign in " ".join(text.split()))
    return re.sub(r"(?<!\S)@", "&#64;", escaped)  # MLflow links `@name` to another site
