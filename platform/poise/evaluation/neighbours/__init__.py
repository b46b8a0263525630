"""Measurements that compare each image with its nearest neighbours, without any training.

In: features. Out: metrics under a protocol's id. Next: ``poise.tracking``.
"""
