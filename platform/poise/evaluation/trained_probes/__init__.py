"""Measurements that train a small head on a frozen backbone.

In: a backbone and labelled images. Out: accuracies under a protocol's id. Next: ``poise.tracking``.
"""
