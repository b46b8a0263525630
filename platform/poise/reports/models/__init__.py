"""Pages about registered models."""

from poise.reports.models.content import ModelsContent, read_content
from poise.reports.models.page import render_page

__all__ = ["ModelsContent", "read_content", "render_page"]
