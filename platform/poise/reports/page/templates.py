"""Loads the templates of pages, and the files that the pages include.

In: a file name. Out: a template or a text. Next: ``poise.reports.study``.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

ASSETS = Path(__file__).parent / "assets"


def environment() -> Environment:
    """Makes the Jinja environment. It escapes every text, and undefined names raise an error."""
    return Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def asset(name: str) -> Markup:
    """Returns the text of an asset, such as a style sheet or a script, without escaping."""
    return Markup((ASSETS / name).read_text(encoding="utf-8"))
