"""Writes one page about several evaluations of several models.

In: a ``Content``. Out: HTML or Markdown. The HTML contains its pictures, so it can be sent as one
file. Next: ``poise evaluate all``, which writes both files.
"""

import base64
import mimetypes
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from poise.reports.evaluations.content import Content
from poise.reports.page.markup import table
from poise.reports.page.templates import asset, environment


def render_page(content: Content, folder: Path) -> str:
    """Returns the HTML page. It contains no script and loads nothing from other hosts.

    Args:
        content: content of the page.
        folder: folder of the page. The paths in the content are relative to it.
    """
    template = environment().get_template("evaluations.html")
    picture = partial(_embedded_picture, folder)
    return template.render(content=content, style=asset("page.css"), scripts=[], picture=picture)


def render_markdown(content: Content) -> str:
    """Returns the tables in Markdown, with the notes of every evaluation."""
    return "\n".join(_lines(content)) + "\n"


def _lines(content: Content) -> Iterator[str]:
    yield f"# Evaluations on {content.dataset}\n"
    yield "Values in parentheses are 95 % intervals.\n"
    for section in content.sections:
        yield f"## {section.name}\n\nProtocol `{section.protocol}`.\n"
        rows = [(metric, *section.cells(metric)) for metric in section.metrics]
        yield from table(("metric", *section.reports), rows)
        yield from ("", *(f"- {note}" for note in section.notes), "")
    for name, reason in content.left_out.items():
        yield f"- Left out: {name}, because {reason}."
    for name, error in content.failed.items():
        yield f"- Failed: {name}, with {error}."


def _embedded_picture(folder: Path, path: str) -> str | None:
    """Returns a picture as a data URI, or None if the file is not a picture."""
    kind = mimetypes.types_map.get(Path(path).suffix, "")
    if not kind.startswith("image/"):
        return None
    encoded = base64.b64encode((folder / path).read_bytes()).decode("ascii")
    return f"data:{kind};base64,{encoded}"
