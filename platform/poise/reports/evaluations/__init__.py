"""Page and Markdown table about several evaluations of several models."""

from poise.reports.evaluations.content import Content, Section
from poise.reports.evaluations.page import render_markdown, render_page

__all__ = ["Content", "Section", "render_markdown", "render_page"]
