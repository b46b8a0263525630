"""Sources of images: folders, Parquet files and named datasets.

In: a path or the name of a dataset. Out: an ``ImageSource``, which yields samples. Next:
``poise.data.preparation``.
"""
