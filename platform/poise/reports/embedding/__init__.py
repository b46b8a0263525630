"""Page of an embedding map.

In: an ``EmbeddingMap``. Out: one HTML file that needs nothing else. Next: a person's browser.
"""

from poise.reports.embedding.page import render_map

__all__ = ["render_map"]
