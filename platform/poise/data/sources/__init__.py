"""Sources of images: folders, Parquet files and named datasets.

In: a path or a name. Out: an ``ImageSource`` of samples. Next: ``poise.data.preparation``.
"""
