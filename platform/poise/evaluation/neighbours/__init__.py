"""Measurements without training: each image against its neighbours.

In: features. Out: figures under a protocol's id. Next: ``poise.tracking``.
"""
