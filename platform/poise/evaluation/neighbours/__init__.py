"""Measurements without training. They compare each image with its nearest neighbours.

In: features. Out: metrics under a protocol's id. Next: ``poise.tracking``.
"""
