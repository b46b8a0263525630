"""Writes images from any source once, as a Poise dataset.

In: a source. Out: Parquet shards and a manifest. Next: ``poise.data.stream.stream``.
"""
