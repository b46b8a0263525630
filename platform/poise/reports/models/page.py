"""Writes the page about registered versions as one HTML file that needs no other file.

In: a ``ModelsContent``. Out: HTML that contains its pictures. Next: a browser.
"""

import base64
import mimetypes

from poise.reports.models.content import ModelsContent
from poise.reports.page.templates import asset, environment


def render_page(content: ModelsContent) -> str:
    """Returns the page. It contains no script and loads nothing from other hosts."""
    template = environment().get_template("models.html")
    return template.render(
        content=content, style=asset("page.css"), scripts=[], picture=_embedded_picture
    )


def _embedded_picture(path: str, content: bytes) -> str:
    kind = mimetypes.guess_type(path)[0] or "image/png"
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
