"""What people bring: folders, Parquet files and named datasets.

In: a path or a name. Out: a ``Source`` of samples. Next: ``poise.data.preparation``.
"""
