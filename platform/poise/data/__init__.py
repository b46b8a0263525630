"""Turns images into views for training.

In: folders, Parquet files or named datasets. Out: a prepared dataset, then a ``ViewBatch`` for each
step. Next: ``poise.models`` and ``poise.objectives``.
"""
