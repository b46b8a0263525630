"""Measurements of single tokens: attention, norms, and pictures of both.

In: traces of a backbone. Out: figures and PNG files. Next: ``poise.tracking``.
"""
