"""Draws one page about several evaluations of several models.

In: a ``Content``. Out: HTML or Markdown. The page holds its pictures, so that it can be sent as one
file. Next: ``poise evaluate all`` writes both.
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
    """Draws the page. It contains no script and loads nothing from other hosts.

    Args:
        content: what the page shows.
        folder: folder to which the folders of the content are relative.
    """
    template = environment().get_template("evaluations.html")
    picture = partial(_embedded_picture, folder)
    return template.render(content=content, style=asset("page.css"), scripts=[], picture=picture)


def render_markdown(content: Content) -> str:
    """Writes the table in Markdown, with the notes of every evaluation."""
    return "\n".join(_lines(content)) + "\n"


def _lines(content: Content) -> Iterator[str]:
    yield f"# Evaluations on {content.dataset}\n"
    yield "Values in parentheses are 95 % intervals.\n"
    for section in content.sections:
        yield f"## {section.name}\n\nProtocol `{section.protocol}`.\n"
        rows = [(metric, *section.cells(metric)) for metric in section.metrics]
        yield from table(("metric", *section.reports), rows)
        for label, report in section.reports.items():
            for note in report.notes:
                yield f"\n- {label}: {note}"
        yield ""
    for name, reason in content.left_out.items():
        yield f"- Left out: {name}, because {reason}."


def _embedded_picture(folder: Path, path: str) -> str | None:
    """Returns a picture as a data URI; None if the file is no picture."""
    kind = mimetypes.types_map.get(Path(path).suffix, "")
    if not kind.startswith("image/"):
        return None
    encoded = base64.b64encode((folder / path).read_bytes()).decode("ascii")
    return f"data:{kind};base64,{encoded}"
