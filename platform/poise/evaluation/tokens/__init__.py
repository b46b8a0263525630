"""Measures single tokens: their attention, their norms, and pictures of both.

In: traces of a backbone. Out: metrics and PNG files. Next: ``poise.tracking``.
"""
