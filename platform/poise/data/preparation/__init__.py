"""Copies images from any source into a Poise dataset.

In: a source. Out: Parquet shards and a manifest. Next: ``poise.data.stream.stream``.
"""
