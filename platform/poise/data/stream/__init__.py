"""Orders the samples of a run, and streams their views in this order.

In: a dataset and a seed. Out: a ``ViewBatch`` for each step. Next: ``poise.objectives``.
"""
