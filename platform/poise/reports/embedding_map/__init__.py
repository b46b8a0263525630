"""Page of an embedding map.

In: an ``EmbeddingMap``. Out: one HTML file that needs no other file. Next: a user's browser.
"""

from poise.reports.embedding_map.page import render_map

__all__ = ["render_map"]
