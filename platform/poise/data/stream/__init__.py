"""Order of the samples, and the stream of views in this order.

In: a dataset and a seed. Out: a ``ViewBatch`` for each step. Next: ``poise.objectives``.
"""
