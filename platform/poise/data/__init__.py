"""Images in, views out.

In: folders, Parquet files or named datasets. Out: a prepared dataset, then ``ViewBatch`` by
``ViewBatch``. Next: ``poise.models`` and ``poise.objectives``.
"""
