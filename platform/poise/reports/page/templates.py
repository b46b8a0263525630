"""The templates of pages, and the files that they carry inside.

In: a name. Out: a template or a text. Next: ``poise.reports.study``.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

ASSETS = Path(__file__).parent / "assets"


def environment() -> Environment:
    """Jinja's environment over the assets: escapes every text, refuses an undefined name."""
    return Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def asset(name: str) -> Markup:
    """The text of an asset, put on the page as it is: a style sheet or a script."""
    return Markup((ASSETS / name).read_text(encoding="utf-8"))
