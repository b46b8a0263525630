"""Measurements without training, which compare each image with its neighbours.

In: features. Out: figures under a protocol's id. Next: ``poise.tracking``.
"""
