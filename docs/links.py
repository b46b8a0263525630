"""Hooks of MkDocs that keep the site offline: no page links or loads files from elsewhere."""

import re
from pathlib import Path
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!.*://)[^)]*\)")
_WORKER = re.compile(r'<script src="?https?://[^>]*iframe-worker[^>]*></script>')
_OWN_WORKER = Path(__file__).with_name("iframe_worker.js").read_text(encoding="utf-8")
_REMOTE_SCRIPT = re.compile(r'<script src="?https?://[^>]*></script>')


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Returns a page's text, with links to files outside of docs/ as plain text."""
    depth = page.file.src_uri.count("/")
    return _OUTSIDE.sub(
        lambda link: link[0] if link[0].count("../") <= depth else link[1], markdown
    )


def on_post_page(output: str, **_: Any) -> str:
    """Returns a page without scripts from another host.

    The theme loads one, by which the search works without a server. Our own script replaces it.
    """
    output = _WORKER.sub(lambda _: f"<script>{_OWN_WORKER}</script>", output)
    return _REMOTE_SCRIPT.sub("", output)


def on_post_template(output_content: str, **_: Any) -> str:
    """Returns a page that is no document, such as 404.html, without scripts from another host."""
    return on_post_page(output_content)
