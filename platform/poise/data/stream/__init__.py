"""The order of the samples, and the stream that follows it.

In: a dataset and a seed. Out: ``ViewBatch`` by ``ViewBatch``. Next: ``poise.objectives``.
"""
